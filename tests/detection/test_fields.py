"""The fields that queries may use: their types, suggestions for misspelled names, and the generated table."""

from collections.abc import Iterable
from importlib.resources import files

import pytest

from app.detection.fields import FieldType, closest_field, field_type, known_fields
from tests.tools.generate_fields import format_fields, read_fields


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


def fields_csv(rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["field,type,normalise,source", *(f"{name},{kind},,ecs" for name, kind in rows)]


def test_fields_txt_is_the_output_of_its_generator() -> None:
    # In the generator's input, dynamic fields have the type `keyword`; the generator makes them dynamic.
    mapping_types = {FieldType.NUMBER: "long", FieldType.DYNAMIC: "keyword"}
    rows = [(name, mapping_types.get(kind, kind.value)) for name, kind in known_fields().items()]
    generated = "".join(format_fields(read_fields(fields_csv(rows))))
    assert generated == files("app.detection").joinpath("fields.txt").read_text(encoding="utf-8")
    assert len(known_fields()) > 4_000


def test_the_generator_maps_elasticsearch_types() -> None:
    generated = read_fields(fields_csv([("a.n", "scaled_float"), ("a.o", "nested")]))
    assert (generated["a.n"], generated["a.o"]) == (FieldType.NUMBER, FieldType.OBJECT)
    with pytest.raises(KeyError, match="histogram"):
        read_fields(fields_csv([("a", "histogram")]))
