"""The OpenAPI document of all that is declared, in the reader's language."""

from __future__ import annotations

import http
import re
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Any, get_args

import msgspec

from noria.console.answers import Failed
from noria.console.endpoints import IN_PATH, Asked, Endpoint
from noria.console.protocol import API_VERSION
from noria.messages import language, t

_REFERENCE = "#/components/schemas/{name}"
_FAILED: dict[str, Any] = {"$ref": _REFERENCE.format(name=Failed.__name__)}
# A message is put into words where it is answered.
_MESSAGE = {
    "type": "object",
    "properties": {"key": {"type": "string"}, "text": {"type": "string"}},
    "required": ["key", "text"],
}
_VERSION_HEADER = {"Noria-Api": {"schema": {"type": "string", "enum": [API_VERSION]}, "required": True}}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document (OpenAPI 3.1) as it is sent."""
    declared = sorted(endpoints, key=lambda one: (one.path, one.method))
    types = [kind for one in declared for kind in (one.takes, *_kinds(one.gives)) if isinstance(kind, type)]
    structs = {kind.__name__: kind for kind in types if issubclass(kind, msgspec.Struct)}
    _, schemas = msgspec.json.schema_components([*structs.values(), Failed], ref_template=_REFERENCE)
    schemas["Message"] = _MESSAGE
    paths: dict[str, dict[str, Any]] = {}
    for one in declared:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    for name in [name for name, kind in structs.items() if issubclass(kind, Asked)]:
        if not any(_REFERENCE.format(name=name) in _references(path) for path in paths.values()):
            del schemas[name]
    return {
        "openapi": "3.1.0",
        "info": {"title": "noria", "version": API_VERSION, "description": t("api.about")},
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _worded(schema) for name, schema in sorted(schemas.items())},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": t("token.hint")},
                "session": {"type": "apiKey", "in": "cookie", "name": "noria", "description": t("api.session")},
            },
        },
    }


def _operation(one: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    asked = schemas[one.takes.__name__]
    made: dict[str, Any] = {
        "operationId": one.name,
        "summary": t("api." + one.name),
        "tags": [one.path.split("/")[1] or "overview"],
        "parameters": [_in_path(name) for name in one.in_path()],
        "responses": _responses(one),
        "x-role": one.role,
    }
    if one.role is None:
        made["security"] = []
    if one.method == "GET":
        made["parameters"] += [_in_query(name, schema, asked) for name, schema in asked["properties"].items()]
    elif one.role is None:
        made["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    elif asked["properties"]:
        content = {"schema": {"$ref": _REFERENCE.format(name=one.takes.__name__)}}
        body = {"application/json": content, "application/x-www-form-urlencoded": content}
        made["requestBody"] = {"required": bool(asked.get("required")), "content": body}
    return made


def _in_path(name: str) -> dict[str, Any]:
    schema = _worded(msgspec.json.schema(IN_PATH[name]))
    return {"name": name, "in": "path", "required": True, **_split(schema)}


def _in_query(name: str, schema: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    # In an address what is not said is left out, never null.
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    plain = {**schema, **options[0]} if options else dict(schema)
    plain.pop("anyOf", None)
    if plain.get("default", 0) is None:
        del plain["default"]
    return {"name": name, "in": "query", "required": name in asked.get("required", ()), **_split(_worded(plain))}


def _split(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's description stands beside its schema."""
    schema = dict(schema)
    found = {"description": schema.pop("description")} if "description" in schema else {}
    return {**found, "schema": schema}


def _responses(one: Endpoint) -> dict[str, Any]:
    good: dict[str, Any] = {"description": t("api.done")}
    if one.media or one.gives is str:
        good["content"] = {media: {"schema": {"type": "string"}} for media in one.media or ("text/plain",)}
    else:
        kinds = [_schema(kind) for kind in _kinds(one.gives)]
        good["content"] = {"application/json": {"schema": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}}
    if one.role is None:
        return {"200": good, **{str(code): _plain(code) for code in sorted(one.errors)}}
    if not one.media:
        good["headers"] = _VERSION_HEADER
    return {"200": good, **{str(code): _failure(code) for code in one.statuses()}}


def _failure(code: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": http.HTTPStatus(code).phrase,
        "content": {"application/json": {"schema": _FAILED}},
    }
    if code == 401:
        found["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return found


def _plain(code: int) -> dict[str, Any]:
    return {"description": http.HTTPStatus(code).phrase}


def _kinds(gives: Any) -> list[Any]:
    return [kind for kind in get_args(gives) if kind is not NoneType] if isinstance(gives, UnionType) else [gives]


def _schema(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {"$ref": _REFERENCE.format(name=kind.__name__)}
    return msgspec.json.schema(kind)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(one) for one in value.values()))
    return set().union(*(_references(one) for one in value)) if isinstance(value, list) else set()


def _worded(value: Any) -> Any:
    """A schema whose descriptions are in the reader's language; types are described in English only."""
    if isinstance(value, list):
        return [_worded(one) for one in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, one in value.items():
        if name == "description" and isinstance(one, str):
            zh, divided, en = re.sub(r"\s+", " ", one).partition("|")
            if divided or language() == "en":
                found[name] = (en if divided and language() == "en" else zh).strip()
        elif name == "title" and isinstance(one, str):
            # The same as the name under which it stands.
            continue
        elif name == "properties" and isinstance(one, dict):
            found[name] = {key: _worded(each) for key, each in one.items()}
        else:
            found[name] = _worded(one)
    return found


def fields(schema: dict[str, Any], made: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """An object's fields, each with its type in short and what it is."""
    target = _followed(schema, made)
    for one in target.get("anyOf", (target,)):
        for name, kind in _followed(one, made).get("properties", {}).items():
            said = (part["description"] for part in (kind, *kind.get("anyOf", ())) if "description" in part)
            yield name, type_of(kind), next(said, "")


def type_of(schema: dict[str, Any]) -> str:
    """A schema's type in short."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(type_of(one) for one in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"[{type_of(schema.get('items') or {})}]"
    bounds = [f"{sign} {schema[name]}" for name, sign in _BOUNDS if name in schema and abs(schema[name]) < 2**53]
    return f"{kind} {', '.join(bounds)}" if bounds else str(kind)


_BOUNDS = (("minimum", "≥"), ("maximum", "≤"), ("minLength", "≥"), ("maxLength", "≤"))


def _followed(schema: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = made["components"]["schemas"][name] if name else schema
    return found


def curl(method: str, path: str, operation: dict[str, Any], made: dict[str, Any], origin: str) -> str:
    """How to ask for it from a shell."""
    query = []
    for one in operation["parameters"]:
        example = (one["schema"].get("examples") or [None])[0]
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", str(example if example is not None else one["name"]))
        elif one["required"] or example is not None:
            query.append(f"{one['name']}={example if example is not None else one['schema'].get('enum', [''])[0]}")
    address = f"{origin}{path}{'?' + '&'.join(query) if query else ''}"
    parts = ["curl"] if method == "get" or operation["x-role"] is not None else ["curl -X POST"]
    if operation["x-role"] is not None:
        parts.append('-H "Authorization: Bearer $NORIA_TOKEN"')
    if method == "post" and operation["x-role"] is not None:
        body: dict[str, Any] = {}
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        target = _followed(content, made)
        for name, schema in target.get("properties", {}).items():
            examples = schema.get("examples") or [
                one for part in schema.get("anyOf", ()) for one in part.get("examples", ())
            ]
            if name in target.get("required", ()) or examples:
                body[name] = examples[0] if examples else _sample(schema)
        text = msgspec.json.encode(body).decode().replace("'", "'\\''")
        parts.append(f"-H 'Content-Type: application/json' -d '{text}'")
    if len(parts) == 1:
        return f"{parts[0]} '{address}'"
    return " \\\n  ".join([*parts, f"'{address}'"])


def _sample(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return {"boolean": True, "integer": 1, "number": 1, "array": []}.get(str(schema.get("type")), "…")
