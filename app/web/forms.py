"""Form posts: size limits, decoding and typed access to fields."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from app.domain.errors import InvalidInput
from app.domain.text import escape_unstorable
from app.ingest.decompress import UnsupportedEncoding
from app.ingest.events import ContentTooLarge

MAX_FORM_BYTES = 1024 * 1024
MAX_FORM_FIELDS = 2_000


@dataclass(frozen=True, slots=True)
class Form:
    """The (name, value) pairs of a form, in the order sent. A name may occur more than once."""

    pairs: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        """Return the first value of the field `name`, or an empty string if the field is missing."""
        return next((value for key, value in self.pairs if key == name), "")

    def get_list(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def get_int(self, name: str) -> int | None:
        """Return the field `name` as a whole number, or None if the field is empty.

        Raises InvalidInput if the text is not a whole number of at most 15 digits.
        """
        text = self[name].strip()
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise InvalidInput({name: f"“{name}” must be a whole number."})
        return int(text)

    def allow_fields(self, *names: str, prefixes: tuple[str, ...] = ()) -> "Form":
        """Return this form. Raises InvalidInput if the form has a field that is not allowed.

        The form may have the fields `names`, fields whose names begin with one of `prefixes`, and the CSRF
        token.
        """
        known = {"csrf", *names}
        for name, _ in self.pairs:
            if name not in known and not (prefixes and name.startswith(prefixes)):
                raise InvalidInput({name: f"Unknown field “{name}”."})
        return self


async def read_form(request: Request) -> Form:
    """Return the form in the body. The body is read once per request; later calls return the same form.

    Raises ContentTooLarge if the form has too many bytes or fields. Raises UnsupportedEncoding if the header
    Content-Type names a media type that is not `application/x-www-form-urlencoded`.
    """
    if (cached := getattr(request.state, "form", None)) is not None:
        form: Form = cached
        return form
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/x-www-form-urlencoded"):
        raise UnsupportedEncoding("Send the form as application/x-www-form-urlencoded.")
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            max_num_fields=MAX_FORM_FIELDS,
            errors="replace",
        )
    except ValueError:
        raise ContentTooLarge(f"The form has more than {MAX_FORM_FIELDS} fields.") from None
    form = Form(tuple((escape_unstorable(name), escape_unstorable(value)) for name, value in pairs))
    request.state.form = form
    return form


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body. Raises ContentTooLarge as soon as the body exceeds `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise ContentTooLarge(
            f"The request body exceeds the limit of {limit} bytes; it has {declared}. Send less data."
        )
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise ContentTooLarge(
                f"The request body exceeds the limit of {limit} bytes. Send less data."
            )
        parts.append(part)
    return b"".join(parts)


FormDep = Annotated[Form, Depends(read_form)]
