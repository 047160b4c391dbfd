"""The ECS fields that a query may use, with their types, and suggestions for misspelled names.

`fields.txt` lists the fields of ECS and of Elastic Defend, one a line: the full name, a space and the
FieldType. `make fields` generates it.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files


class FieldType(StrEnum):
    """The type by which values of a field are compared. Each member's value is its name in `fields.txt`."""

    TEXT = "keyword"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    IP = "ip"
    GEO_POINT = "geo_point"
    OBJECT = "object"
    """A field of this type has no value of its own. Queries may use any field below it; such a field has the
    type DYNAMIC unless it is a known field itself."""
    DYNAMIC = "dynamic"
    """The type is unknown. The type of the constant in a comparison decides how values are compared."""


def field_type(name: str) -> FieldType | None:
    """Return the type of the field `name`, or None if there is no such field."""
    fields = known_fields()
    if known_type := fields.get(name):
        return known_type
    parent = name
    while (dot := parent.rfind(".")) > 0:
        parent = parent[:dot]
        if fields.get(parent) is FieldType.OBJECT:
            return FieldType.DYNAMIC
    return None


@lru_cache(maxsize=1_024)
def closest_field(name: str) -> str | None:
    """Return the known field that `name` most resembles, or None if none is similar."""
    similar = get_close_matches(name, known_fields(), n=1, cutoff=0.75)
    return similar[0] if similar else None


@cache
def known_fields() -> Mapping[str, FieldType]:
    """Return the types of all fields by full name. The first call reads `fields.txt`, in about 1 ms."""
    words = files(__package__).joinpath("fields.txt").read_text(encoding="utf-8").split()
    types = {field_type.value: field_type for field_type in FieldType}
    return dict(zip(words[::2], map(types.__getitem__, words[1::2]), strict=True))
