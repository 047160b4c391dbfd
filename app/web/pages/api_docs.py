"""The API's reference as a page, from its OpenAPI document: nothing fetched, nothing scripted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A parameter, or a field of a body."""

    name: str
    kind: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class OperationView:
    """One method on one path. `anchor` is its id on the page."""

    method: str
    path: str
    anchor: str
    summary: str
    text: str
    parameters: tuple[FieldRow, ...]
    body_text: str
    body: tuple[FieldRow, ...]
    answer: tuple[FieldRow, ...]
    answer_status: str


@dataclass(frozen=True, slots=True)
class GroupView:
    name: str
    operations: tuple[OperationView, ...]


@dataclass(frozen=True, slots=True)
class ApiDocsPage:
    base_url: str
    openapi_href: str
    groups: tuple[GroupView, ...]


def docs_page(document: dict[str, Any], base_url: str) -> ApiDocsPage:
    groups: dict[str, list[OperationView]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = (operation.get("tags") or ["other"])[0]
            groups.setdefault(name, []).append(_operation(document, path, method, operation))
    return ApiDocsPage(
        base_url=base_url,
        openapi_href="/api/openapi.json",
        groups=tuple(GroupView(name, tuple(found)) for name, found in groups.items()),
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
        text=operation.get("description", ""),
        parameters=tuple(
            FieldRow(
                one["name"],
                _kind(one.get("schema", {})),
                bool(one.get("required")),
                one.get("description", ""),
            )
            for one in operation.get("parameters", ())
        ),
        body_text=body.get("description", ""),
        body=tuple(_fields(document, schema)),
        answer=tuple(_fields(document, _json_schema(answer))),
        answer_status=status,
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
        yield FieldRow(name, _kind(one), name in required, one.get("description", ""))


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "const" in schema:
        return f"“{schema['const']}”"
    if "enum" in schema:
        return " or ".join(f"“{one}”" for one in schema["enum"])
    return str(schema.get("format") or schema.get("type", "any"))
