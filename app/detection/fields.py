"""The ECS fields that a query may use, with their types, and suggestions for misspelled names.

`fields.txt` is an indented tree: one name segment a line, one space a level, then a letter when the
path so far is a field. It is made from a table of ECS and of what Elastic Defend adds to it by

    python -m app.detection.fields < fields.csv > app/detection/fields.txt

whose columns are field, type (Elasticsearch's mapping type), normalise and source.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files


class FieldType(StrEnum):
    """What a comparison with a field means. The values are the letters of `fields.txt`."""

    TEXT = "t"
    NUMBER = "n"
    BOOLEAN = "b"
    DATE = "d"
    IP = "a"
    GEO_POINT = "p"
    OBJECT = "o"
    """Has no value of its own; names below it are open."""
    DYNAMIC = "?"
    """Below an open object, or not in the table: the constant it is compared with decides."""


_MAPPING_TYPES = {
    FieldType.TEXT: "keyword constant_keyword wildcard text match_only_text",
    FieldType.NUMBER: "long unsigned_long integer float double scaled_float",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.IP: "ip",
    FieldType.GEO_POINT: "geo_point",
    FieldType.OBJECT: "object flattened nested",
}

_INTEGRATION_FIELDS = dict.fromkeys(
    ("auditd.data", "winlog", "powershell", "crowdstrike", "m365_defender"), FieldType.OBJECT
)
"""Not in the table, but what integrations send whose events public rules ask about; open below."""

_TYPE_OVERRIDES = {
    f"{place}.Ext.windows.zone_identifier": FieldType.DYNAMIC
    for place in ("dll", "file", "process")
}
"""Keywords in the table, but numbers as Elastic Defend sends them and public rules ask for them."""


def field_type(name: str) -> FieldType | None:
    """The type of the field `name`, or None if there is no such field."""
    table = known_fields()
    if found := table.get(name):
        return found
    parent = name
    while (dot := parent.rfind(".")) > 0:
        parent = parent[:dot]
        if table.get(parent) is FieldType.OBJECT:
            return FieldType.DYNAMIC
    return None


@lru_cache(maxsize=1_024)
def closest_field(name: str) -> str | None:
    """The known field that `name` was probably meant to be, or None if none is near."""
    near = get_close_matches(name, known_fields(), n=1, cutoff=0.75)
    return near[0] if near else None


@cache
def known_fields() -> Mapping[str, FieldType]:
    """Every field of the table by its full name. Read on first use, some milliseconds."""
    lines = files(__package__).joinpath("fields.txt").read_text(encoding="utf-8").splitlines()
    return dict(_parse_tree(lines))


def _parse_tree(lines: Iterable[str]) -> Iterator[tuple[str, FieldType]]:
    path: list[str] = []
    for line in lines:
        segment, _, letter = line.lstrip(" ").partition(" ")
        depth = len(line) - len(line.lstrip(" "))
        path[depth:] = [segment]
        if letter:
            yield ".".join(path), FieldType(letter)


def _format_tree(fields: Mapping[str, FieldType]) -> Iterator[str]:
    above: list[str] = []
    for name in sorted(fields, key=lambda name: name.split(".")):
        path = name.split(".")
        shared = 0
        while shared < min(len(above), len(path) - 1) and above[shared] == path[shared]:
            shared += 1
        for depth in range(shared, len(path) - 1):
            yield " " * depth + path[depth]
        yield " " * (len(path) - 1) + f"{path[-1]} {fields[name]}"
        above = path


def _fields_from_csv(lines: Iterable[str]) -> dict[str, FieldType]:
    types = {name: kind for kind, names in _MAPPING_TYPES.items() for name in names.split()}
    told = {row["field"]: types[row["type"]] for row in csv.DictReader(lines)}
    return _INTEGRATION_FIELDS | told | _TYPE_OVERRIDES


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in _format_tree(_fields_from_csv(sys.stdin)))
