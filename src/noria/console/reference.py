"""The API's own pages: the OpenAPI document, and the same for people to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from noria.console.endpoints import Endpoint, shows
from noria.console.openapi import curl, document, fields, type_of
from noria.console.render import as_json, page, wants_json
from noria.messages import language


class Reference:
    """Shows what is declared. `declared`: all of it."""

    def __init__(self, declared: Callable[[], list[Endpoint]]) -> None:
        self.declared = declared
        self._made: dict[str, dict[str, Any]] = {}

    def endpoints(self) -> list[Endpoint]:
        """Both pages."""
        return [
            shows("openapi", "/openapi.json", self._document, dict[str, Any]),
            shows("api", "/api", self._page, dict[str, Any]),
        ]

    def document(self) -> dict[str, Any]:
        """The document in the reader's language."""
        if language() not in self._made:
            self._made[language()] = document(self.declared())
        return self._made[language()]

    async def _document(self, _: Request) -> Response:
        return as_json(self.document())

    async def _page(self, request: Request) -> Response:
        made = self.document()
        if wants_json(request):
            return as_json(made)
        origin = f"{request.url.scheme}://{request.url.netloc}"
        groups: dict[str, list[dict[str, Any]]] = {}
        for path, operations in made["paths"].items():
            for method, operation in operations.items():
                groups.setdefault(operation["tags"][0], []).append(
                    {
                        "method": method.upper(),
                        "path": path,
                        "summary": operation["summary"],
                        "role": operation["x-role"],
                        "parameters": [_parameter(one) for one in operation["parameters"]],
                        "body": _fields(operation.get("requestBody", {}), made),
                        "answer": _fields(operation["responses"]["200"], made),
                        "errors": [code for code in operation["responses"] if code != "200"],
                        "curl": curl(method, path, operation, made, origin),
                    }
                )
        return page(request, "api.html", {"groups": groups, "about": made["info"]["description"], "origin": origin})


def _parameter(one: dict[str, Any]) -> tuple[str, str, str, bool]:
    return one["name"], type_of(one["schema"]), one.get("description", ""), one["required"]


def _fields(part: dict[str, Any], made: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The fields of a body or an answer."""
    content = part.get("content", {}).get("application/json")
    return list(fields(content["schema"], made)) if content is not None else []
