"""Reading an ECS document whose keys may be nested, dotted or both, and whose values may be lists.

Elasticsearch flattens `{"process": {"name": "ssh"}}`, `{"process.name": "ssh"}` and
`{"process": [{"name": "ssh"}]}` to the same field, so an event means the same whichever way its
agent wrote it. Everything that reads an event by field name goes through here.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool
Document: TypeAlias = Mapping[str, object]


def values(document: Document, field: str) -> list[Scalar]:
    """Every value of `field` (a full ECS name such as `process.name`), in document order.

    Missing fields, `null` and objects give nothing; lists are flattened.
    """
    return list(_scalars(_at(document, field)))


def first_text(document: Document, field: str) -> str | None:
    """The first value of `field` as text, or None. Numbers become text: `user.id` may be either."""
    for value in values(document, field):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return None


def first_number(document: Document, field: str) -> int | None:
    """The first whole number at `field`, or None; a decimal string counts (Falco sends both)."""
    for value in values(document, field):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            return int(value)
    return None


def below(node: object, field: str) -> Iterator[tuple[str, object]]:
    """What lies under `field`, whichever way its keys are written: (the rest of the name, value)."""
    if isinstance(node, list):
        for item in node:
            yield from below(item, field)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if not field:
                yield key, value
            elif key == field:
                yield from below(value, "")
            elif key.startswith(f"{field}."):
                yield key[len(field) + 1 :], value
            elif field.startswith(f"{key}."):
                yield from below(value, field[len(key) + 1 :])


def _at(node: object, field: str) -> Iterator[object]:
    if isinstance(node, Mapping):
        if field in node:
            yield node[field]
        start = field.find(".")
        while start != -1:
            child = node.get(field[:start])
            if child is not None:
                yield from _at(child, field[start + 1 :])
            start = field.find(".", start + 1)
    elif isinstance(node, list):
        for item in node:
            yield from _at(item, field)


def _scalars(found: Iterator[object]) -> Iterator[Scalar]:
    for value in found:
        if isinstance(value, str | int | float | bool):
            yield value
        elif isinstance(value, list):
            yield from _scalars(iter(value))
