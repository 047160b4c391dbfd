"""What a browser's form sent: bounded, only the fields that the route knows, nothing else."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from app.domain.errors import Invalid
from app.domain.text import storable
from app.ingest.body import UnknownEncoding
from app.ingest.lines import TooLarge

FORM_LIMIT = 1024 * 1024
FIELDS_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Form:
    """Fields in the order sent; a name may come more than once."""

    pairs: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        """The first value of `name`, the empty string when it was not sent."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def number(self, name: str) -> int | None:
        """A whole number, None when the field is empty; raises Invalid for anything else."""
        text = self[name].strip()
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Invalid({name: f"“{name}” is a number, and this is not one."})
        return int(text)

    def only(self, *names: str, starting: tuple[str, ...] = ()) -> "Form":
        """The same form; raises Invalid when it has a field the route does not know."""
        known = {"csrf", *names}
        for name, _ in self.pairs:
            if name not in known and not (starting and name.startswith(starting)):
                raise Invalid({name: f"The field “{name}” is not known here."})
        return self


async def read_form(request: Request) -> Form:
    """The body of a form post, read once a request; raises TooLarge, UnknownEncoding or Invalid."""
    if (kept := getattr(request.state, "form", None)) is not None:
        form: Form = kept
        return form
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise UnknownEncoding("Send the form as application/x-www-form-urlencoded.")
    body = await bounded_body(request, FORM_LIMIT)
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            max_num_fields=FIELDS_LIMIT,
            errors="replace",
        )
    except ValueError:
        raise TooLarge(f"A form may have at most {FIELDS_LIMIT} fields.") from None
    made = Form(tuple((storable(name), storable(value)) for name, value in pairs))
    request.state.form = made
    return made


async def bounded_body(request: Request, limit: int) -> bytes:
    """The whole body; raises TooLarge as soon as it exceeds `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes; this has {declared}.")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"The body may have at most {limit} bytes.")
        parts.append(part)
    return b"".join(parts)


Posted = Annotated[Form, Depends(read_form)]
