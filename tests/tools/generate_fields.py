"""Generator of app/detection/fields.txt from a CSV table of fields, run by `make fields`.

The CSV has the columns `field` and `type`, an Elasticsearch mapping type; other columns are ignored.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from app.detection import fields
from app.detection.fields import FieldType

_MAPPING_TYPES = {
    FieldType.TEXT: ("keyword", "constant_keyword", "wildcard", "text", "match_only_text"),
    FieldType.NUMBER: ("long", "unsigned_long", "integer", "float", "double", "scaled_float"),
    FieldType.BOOLEAN: ("boolean",),
    FieldType.DATE: ("date",),
    FieldType.IP: ("ip",),
    FieldType.GEO_POINT: ("geo_point",),
    FieldType.OBJECT: ("object", "flattened", "nested"),
}

# Missing in ECS, but public rules query them: integrations send any field below these objects.
_INTEGRATION_FIELDS = dict.fromkeys(
    ("auditd.data", "winlog", "powershell", "crowdstrike", "m365_defender"), FieldType.OBJECT
)

# Keywords in the mapping, but Elastic Defend sends numbers and public rules compare with numbers.
_TYPE_OVERRIDES = {
    f"{parent}.Ext.windows.zone_identifier": FieldType.DYNAMIC
    for parent in ("dll", "file", "process")
}


def read_fields(csv_lines: Iterable[str]) -> dict[str, FieldType]:
    """Return the type of each field. Raises KeyError for an unknown mapping type."""
    types = {name: field_type for field_type, names in _MAPPING_TYPES.items() for name in names}
    table = {row["field"]: types[row["type"]] for row in csv.DictReader(csv_lines)}
    return _INTEGRATION_FIELDS | table | _TYPE_OVERRIDES


def format_fields(field_types: Mapping[str, FieldType]) -> Iterator[str]:
    """Yield the lines of fields.txt, sorted by name."""
    for name, field_type in sorted(field_types.items()):
        yield f"{name} {field_type}\n"


def main(csv_path: str) -> None:
    with Path(csv_path).open(encoding="utf-8", newline="") as csv_file:
        lines = list(format_fields(read_fields(csv_file)))
    Path(fields.__file__).with_name("fields.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
