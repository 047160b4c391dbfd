"""API reference page."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.access import Analyst
from app.web.page_response import render_page
from app.web.pages.api_docs.page import build_api_docs_page

router = APIRouter()


@router.get("/api/docs", include_in_schema=False)
def docs(request: Request, principal: Analyst) -> Response:
    context = build_api_docs_page(request.app.openapi())
    return render_page(request, principal, "pages/api_docs.html", context, title="API")
