"""The ECS fields that a query may use, with their types, and suggestions for misspelled names.

`fields.txt` lists the fields of ECS and of Elastic Defend. Each line has the full name of a field, a space
and the value of a FieldType. `make fields` generates this file.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files


class FieldType(StrEnum):
    """The type of a field. The type decides how values are compared."""

    TEXT = "keyword"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    IP = "ip"
    GEO_POINT = "geo_point"
    OBJECT = "object"
    """An object contains other fields and has no value itself. Queries may use any field inside an object. If
    `fields.txt` does not list the inner field, its type is DYNAMIC."""
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
    """Return the known field whose name is most similar to `name`, or None if no field is similar."""
    similar = get_close_matches(name, known_fields(), n=1, cutoff=0.75)
    return similar[0] if similar else None


@cache
def known_fields() -> Mapping[str, FieldType]:
    """Return the type of each known field by full name. The first call reads `fields.txt` in about 1 ms."""
    words = files(__package__).joinpath("fields.txt").read_text(encoding="utf-8").split()
    types = {field_type.value: field_type for field_type in FieldType}
    return dict(zip(words[::2], map(types.__getitem__, words[1::2]), strict=True))
