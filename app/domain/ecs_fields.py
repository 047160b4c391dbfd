"""Field access in ECS documents with nested or dotted keys and single or multiple values.

Elasticsearch flattens `{"process": {"name": "ssh"}}`, `{"process.name": "ssh"}` and
`{"process": [{"name": "ssh"}]}` to the same field, `process.name`. The functions in this module read all
three forms. All code that reads an event by field name uses these functions.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool
Document: TypeAlias = Mapping[str, object]

# These tuples are module constants. Inside a function, Python would build a new tuple at each call.
_SCALAR_TYPES = (str, int, float, bool)
_MAPPING_TYPES = (dict, Mapping)


def field_values(document: Document, field: str) -> list[Scalar]:
    """Return all values of `field` (a full ECS name such as `process.name`) in document order.

    Lists are flattened; `null` and objects are skipped.
    """
    collected: list[Scalar] = []
    _collect_values(document, field, collected)
    return collected


def first_text(document: Document, field: str) -> str | None:
    """Return the first value of `field` as text, or None.

    Numbers are converted to text, because agents send `user.id` as a number or as text.
    """
    for value in field_values(document, field):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return None


def first_number(document: Document, field: str) -> int | None:
    """Return the first integer in `field`, or None.

    Decimal strings are converted, because Falco also sends numbers as strings.
    """
    for value in field_values(document, field):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            return int(value)
    return None


def entries_under(node: object, field: str) -> Iterator[tuple[str, object]]:
    """Yield (rest of the name, value) for each entry below `field`.

    For the field `container.labels`, `{"container.labels.app": "web"}` yields ("app", "web"). The nested form
    `{"container": {"labels": {"app": "web"}}}` yields the same pair.
    """
    if isinstance(node, list):
        for item in node:
            yield from entries_under(item, field)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if not field:
                yield key, value
            elif key == field:
                yield from entries_under(value, "")
            elif key.startswith(f"{field}."):
                yield key[len(field) + 1 :], value
            elif field.startswith(f"{key}."):
                yield from entries_under(value, field[len(key) + 1 :])


def _collect_values(node: object, field: str, collected: list[Scalar]) -> None:
    # This check runs about 100 times per event. `dict` is first in _MAPPING_TYPES, because decoded JSON
    # objects have this type.
    if isinstance(node, _MAPPING_TYPES):
        for key, rest in _key_splits(field):
            child = node.get(key)
            if child is not None:
                if rest:
                    _collect_values(child, rest, collected)
                elif isinstance(child, _SCALAR_TYPES):
                    collected.append(child)
                elif isinstance(child, list):
                    _collect_scalars(child, collected)
    elif isinstance(node, list):
        for item in node:
            _collect_values(item, field, collected)


def _collect_scalars(items: list[object], collected: list[Scalar]) -> None:
    for item in items:
        if isinstance(item, _SCALAR_TYPES):
            collected.append(item)
        elif isinstance(item, list):
            _collect_scalars(item, collected)


@lru_cache(maxsize=4096)
def _key_splits(field: str) -> tuple[tuple[str, str], ...]:
    """Return (key, rest of the name) for each way to split `field`, the complete name first.

    `a.b` gives ("a.b", "") and ("a", "b").
    """
    dots = [at for at, character in enumerate(field) if character == "."]
    return ((field, ""), *((field[:at], field[at + 1 :]) for at in dots))
