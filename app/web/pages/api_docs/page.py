"""The context of the API reference, a page without scripts that is built from the OpenAPI document."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A parameter of an operation, or a field of a body."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class OperationView:
    """An operation (method and path); `anchor` is its element id on the page."""

    method: str
    path: str
    anchor: str
    summary: str
    description: str
    parameters: tuple[FieldRow, ...]
    request_description: str
    request_fields: tuple[FieldRow, ...]
    response_fields: tuple[FieldRow, ...]
    response_status: str


@dataclass(frozen=True, slots=True)
class OperationGroup:
    """Operations with the same tag."""

    name: str
    operations: tuple[OperationView, ...]


@dataclass(frozen=True, slots=True)
class ApiDocsPage:
    """Context of the API reference."""

    groups: tuple[OperationGroup, ...]


def build_api_docs_page(document: dict[str, Any]) -> ApiDocsPage:
    """Build the reference; an operation belongs to the group of its first tag."""
    groups: dict[str, list[OperationView]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = (operation.get("tags") or ["other"])[0]
            groups.setdefault(name, []).append(_operation(document, path, method, operation))
    return ApiDocsPage(tuple(OperationGroup(name, tuple(group)) for name, group in groups.items()))


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> OperationView:
    body = operation.get("requestBody", {})
    schema = _json_schema(body)
    status, response = next(
        (item for item in operation["responses"].items() if item[0].startswith("2")), ("200", {})
    )
    return OperationView(
        method=method.upper(),
        path=path,
        anchor=operation["operationId"],
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=tuple(
            FieldRow(
                parameter["name"],
                _type_text(parameter.get("schema", {})),
                bool(parameter.get("required")),
                parameter.get("description", ""),
            )
            for parameter in operation.get("parameters", ())
        ),
        request_description=body.get("description", ""),
        request_fields=tuple(_fields(document, schema)),
        response_fields=tuple(_fields(document, _json_schema(response))),
        response_status=status,
    )


def _json_schema(body: dict[str, Any]) -> dict[str, Any]:
    content = body.get("content", {}).get("application/json", {})
    schema: dict[str, Any] = content.get("schema", {})
    return schema


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        resolved: dict[str, Any] = document["components"]["schemas"][name]
        return resolved
    return schema


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[FieldRow]:
    resolved = _resolve(document, schema)
    required = resolved.get("required", ())
    for name, field in resolved.get("properties", {}).items():
        yield FieldRow(name, _type_text(field), name in required, field.get("description", ""))


def _type_text(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_text(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type_text(schema.get('items', {}))}"
    if "const" in schema:
        return f"“{schema['const']}”"
    if "enum" in schema:
        return " or ".join(f"“{value}”" for value in schema["enum"])
    return str(schema.get("format") or schema.get("type", "any"))
