"""The OpenAPI document (version 3.1), from the routes and the types of their answers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from alaska import __version__
from alaska.admin.http.answers import Problem
from alaska.admin.http.routes import Parameter, Route
from alaska.admin.http.users import Role

_TEMPLATE = "#/components/schemas/{name}"
_NAME = re.compile(r"\{([a-z]+)\}")
_WORDS = re.compile(r"[A-Za-z0-9]+")


def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """Return the document as values for JSON."""
    used = (kind for route in routes for kind in [_body_of(route), *(kind for _, kind in route.answers.values())])
    types = list(dict.fromkeys([Problem, *filter(_is_type, used)]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Alaska", "version": __version__, "license": {"name": "MPL-2.0", "identifier": "MPL-2.0"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "alaska"},
            },
        },
    }


def _body_of(route: Route) -> object:
    """Return the type of the body, or None."""
    return route.takes if route.request is None or route.method != "POST" else route.request


def _is_type(kind: object) -> bool:
    return kind is not None and not isinstance(kind, str)


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *_WORDS.findall(route.path.removeprefix("/api/v1"))]),
        "summary": route.doc,
        "parameters": [*map(_in_path, _NAME.findall(route.path)), *_in_query_of(route)],
        "responses": _responses(route, schema_of),
    }
    operation["parameters"] += [
        {"name": header.name, "in": "header", "description": header.doc, "schema": {"type": "string"}}
        for header in route.headers
    ]
    if _body_of(route) is not None:
        operation["requestBody"] = {"content": _content(_body_of(route), schema_of)}
    if route.role:
        operation["description"] = f"Needs the role `{route.role.word}`."
        operation["security"] = [{"token": []}, {"cookie": []}, *([{}] if route.role is Role.VIEW else [])]
    return operation


def _responses(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, (doc, kind) in route.answers.items():
        found[str(status)] = {"description": doc}
        if kind is not None:
            found[str(status)]["content"] = _content(kind, schema_of)
    problem = {"application/problem+json": {"schema": schema_of[Problem]}}
    return {**found, "default": {"description": "The request is refused.", "content": problem}}


def _content(kind: object, schema_of: dict[Any, Any]) -> dict[str, Any]:
    return {kind.partition(";")[0]: {}} if isinstance(kind, str) else {"application/json": {"schema": schema_of[kind]}}


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query_of(route: Route) -> list[dict[str, Any]]:
    if route.request is None:
        return [_in_query(parameter) for parameter in route.parameters]
    if route.method == "POST":
        return []
    (_, components) = msgspec.json.schema_components([route.request])
    schema = components[route.request.__name__]
    needed, elsewhere = schema.get("required", ()), {*_NAME.findall(route.path), *route.fixed}
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": each}
        for name, each in schema["properties"].items()
        if name not in elsewhere
    ]


def _in_query(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.doc,
        "schema": dict(parameter.schema),
    }
