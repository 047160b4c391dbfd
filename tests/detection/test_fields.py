"""The table of fields that queries may name."""

import csv
import sys
from importlib.resources import files
from io import StringIO
from subprocess import run

import pytest

from app.detection.fields import FieldType, field_type, known_fields, nearest_field


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("process.name", FieldType.TEXT),
        ("process.command_line", FieldType.TEXT),
        ("process.pid", FieldType.NUMBER),
        ("process.interactive", FieldType.BOOLEAN),
        ("@timestamp", FieldType.DATE),
        ("source.ip", FieldType.ADDRESS),
        ("host.geo.location", FieldType.PLACE),
        ("labels", FieldType.OBJECT),
        ("labels.team", FieldType.OPEN),
        ("container.labels.io.kubernetes.pod", FieldType.OPEN),
        ("auditd.data.syscall", FieldType.OPEN),
        ("auditd.dat", None),
        ("process", None),
        ("process.nmae", None),
        ("labelsx", None),
        ("", None),
        (".", None),
    ],
)
def test_a_name_has_the_type_that_ecs_gives_it(name: str, kind: FieldType | None) -> None:
    assert field_type(name) is kind


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("usr.name", "user.name"), ("process.exectable", "process.executable"), ("qqqqqqq", None)],
)
def test_a_typing_error_finds_the_name_that_was_meant(typed: str, meant: str | None) -> None:
    assert nearest_field(typed) == meant


def test_the_file_of_fields_is_what_its_generator_writes() -> None:
    types = {
        FieldType.TEXT: "keyword",
        FieldType.NUMBER: "long",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.ADDRESS: "ip",
        FieldType.PLACE: "geo_point",
        FieldType.OBJECT: "object",
        FieldType.OPEN: "keyword",  # what the generator knows to be sent otherwise
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
