"""The API's reference as a page, from its OpenAPI document: nothing fetched, nothing scripted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A parameter, or a field of a body."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class OperationView:
    """One method on one path. `anchor` is its id on the page."""

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
    name: str
    operations: tuple[OperationView, ...]


@dataclass(frozen=True, slots=True)
class ApiDocsPage:
    base_url: str
    openapi_href: str
    groups: tuple[OperationGroup, ...]


def build_api_docs_page(document: dict[str, Any], base_url: str) -> ApiDocsPage:
    groups: dict[str, list[OperationView]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = (operation.get("tags") or ["other"])[0]
            groups.setdefault(name, []).append(_operation(document, path, method, operation))
    return ApiDocsPage(
        base_url=base_url,
        openapi_href="/api/openapi.json",
        groups=tuple(OperationGroup(name, tuple(found)) for name, found in groups.items()),
    )


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> OperationView:
    body = operation.get("requestBody", {})
    schema = _json_schema(body)
    status, answer = next(
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
                one["name"],
                _type_text(one.get("schema", {})),
                bool(one.get("required")),
                one.get("description", ""),
            )
            for one in operation.get("parameters", ())
        ),
        request_description=body.get("description", ""),
        request_fields=tuple(_fields(document, schema)),
        response_fields=tuple(_fields(document, _json_schema(answer))),
        response_status=status,
    )


def _json_schema(holder: dict[str, Any]) -> dict[str, Any]:
    content = holder.get("content", {}).get("application/json", {})
    schema: dict[str, Any] = content.get("schema", {})
    return schema


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[FieldRow]:
    resolved = _resolved(document, schema)
    required = resolved.get("required", ())
    for name, one in resolved.get("properties", {}).items():
        yield FieldRow(name, _type_text(one), name in required, one.get("description", ""))


def _type_text(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_text(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type_text(schema.get('items', {}))}"
    if "const" in schema:
        return f"“{schema['const']}”"
    if "enum" in schema:
        return " or ".join(f"“{one}”" for one in schema["enum"])
    return str(schema.get("format") or schema.get("type", "any"))
