"""Fields that queries may use: types, suggestions and the generated table."""

import csv
import sys
from importlib.resources import files
from io import StringIO
from subprocess import run

import pytest

from app.detection.fields import FieldType, closest_field, field_type, known_fields


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("process.name", FieldType.TEXT),
        ("process.command_line", FieldType.TEXT),
        ("process.pid", FieldType.NUMBER),
        ("process.interactive", FieldType.BOOLEAN),
        ("@timestamp", FieldType.DATE),
        ("source.ip", FieldType.IP),
        ("host.geo.location", FieldType.GEO_POINT),
        ("labels", FieldType.OBJECT),
        ("labels.team", FieldType.DYNAMIC),
        ("container.labels.io.kubernetes.pod", FieldType.DYNAMIC),
        ("auditd.data.syscall", FieldType.DYNAMIC),
        ("auditd.dat", None),
        ("process", None),
        ("process.nmae", None),
        ("labelsx", None),
        ("", None),
        (".", None),
    ],
)
def test_a_field_has_its_ecs_type(name: str, kind: FieldType | None) -> None:
    assert field_type(name) is kind


@pytest.mark.parametrize(
    ("misspelled", "suggestion"),
    [("usr.name", "user.name"), ("process.exectable", "process.executable"), ("qqqqqqq", None)],
)
def test_a_misspelled_field_gets_a_suggestion(misspelled: str, suggestion: str | None) -> None:
    assert closest_field(misspelled) == suggestion


def test_fields_txt_is_up_to_date() -> None:
    types = {
        FieldType.TEXT: "keyword",
        FieldType.NUMBER: "long",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.IP: "ip",
        FieldType.GEO_POINT: "geo_point",
        FieldType.OBJECT: "object",
        FieldType.DYNAMIC: "keyword",  # what the generator knows to be sent otherwise
    }
    table = StringIO()
    writer = csv.writer(table)
    writer.writerow(["field", "type", "normalise", "source"])
    writer.writerows([name, types[kind], "", "ecs"] for name, kind in known_fields().items())
    written = run(
        [sys.executable, "-m", "app.detection.fields"],
        input=table.getvalue(),
        capture_output=True,
        text=True,
        check=True,
    )
    shipped = files("app.detection").joinpath("fields.txt").read_text(encoding="utf-8")
    assert written.stdout == shipped
    assert len(known_fields()) > 4_000
