"""Elasticsearch's APIs for templates, lifecycle policies and ingest pipelines, which have no effect here.

Some shippers check for their template, policy or pipeline before they send events, and create it if it is
missing. Deckwatch has no indexes, so every one of them exists, is empty, and can be created. The routes are
public, because Falcosidekick sends these requests without its credentials. A response contains only the name
from the request.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.web.access import PUBLIC
from app.web.api.elastic import PREFIX, elastic_response
from app.web.api.openapi import ShipperProblem, problem_responses

router = APIRouter(
    tags=["elastic"],
    dependencies=[Depends(PUBLIC)],
    responses=problem_responses(404, model=ShipperProblem),
)

ResourceName = Annotated[str, Path(max_length=255)]


class Acknowledgement(BaseModel):
    acknowledged: bool


_ACKNOWLEDGEMENT = Acknowledgement(acknowledged=True).model_dump_json().encode()

# The body that Elasticsearch returns for a resource that exists, by the path of its API.
_BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "_index_template": lambda name: {
        "index_templates": [
            {"name": name, "index_template": {"index_patterns": [], "composed_of": []}}
        ]
    },
    "_component_template": lambda name: {
        "component_templates": [{"name": name, "component_template": {"template": {}}}]
    },
    "_ilm/policy": lambda name: {name: {"version": 1, "policy": {"phases": {}}}},
    "_ingest/pipeline": lambda name: {name: {"processors": []}},
}


def _add_routes(path: str, body: Callable[[str], dict[str, Any]]) -> None:
    operation = path.strip("_").replace("/", "_")

    def get(request: Request, name: ResourceName) -> Response:
        return elastic_response(request, json.dumps(body(name)).encode())

    def put(request: Request, name: ResourceName) -> Response:
        return elastic_response(request, _ACKNOWLEDGEMENT)

    url = f"{PREFIX}/{path}/{{name}}"
    summary = f"{path}: always exists and is empty"
    router.get(url, summary=summary, name=f"get_{operation}")(get)
    router.head(url, include_in_schema=False, name=f"head_{operation}")(get)
    router.put(
        url,
        summary=f"{path}: acknowledged, no effect",
        name=f"put_{operation}",
        response_model=Acknowledgement,
    )(put)


for _path, _body in _BODIES.items():
    _add_routes(_path, _body)
