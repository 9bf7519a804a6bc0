"""
The description of the API, made from the calls: OpenAPI 3.1, served at /api/openapi.json.

Schemas come from the same structs that read the input. Errors that follow from a call's
shape (it has a body, a path, a query …) are derived here, so no handler can forget one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pullse.errors import Conflict, Gone, Refusal, Stale, TooMany, Unproven
from pullse.kit.web import Call

REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct, frozen=True):
    field: str
    message: str


class Refused(msgspec.Struct, frozen=True, omit_defaults=False):
    """What every refusal looks like."""

    status: bool
    message: str
    code: str
    errors: list[Problem]


REASONS = {
    400: (
        "Malformed or invalid; `errors` name the fields.",
        "invalid",
        "title: This must not be blank.",
    ),
    401: ("No token, or a wrong one.", "unauthorized", "Send the API token."),
    403: ("Not from there, or not for you.", "cross_site", "Pages of other sites may not call."),
    404: ("There is no such thing.", "not_found", "There is no such ticket."),
    409: (
        "Not in the present state.",
        "email_taken",
        "email: Another agent has this e-mail address.",
    ),
    410: (
        "The place in the feed is gone: start over.",
        "start_over",
        "This place in the feed no longer exists.",
    ),
    412: (
        "It has changed since you read it; `data` says how.",
        "stale",
        "The ticket has changed since you read it: status. It is at version 3 now.",
    ),
    413: ("The body is too large.", "too_large", "The body is larger than 1 MiB."),
    415: ("The body is not JSON.", "unsupported_media_type", "The body has to be JSON."),
    422: (
        "The idempotency key was used with another payload.",
        "idempotency_key_reused",
        "This Idempotency-Key was used with another request before.",
    ),
    429: (
        "Too many requests (`too_many_requests`), or attempts to sign in; `Retry-After` says how "
        "many seconds to wait.",
        "too_many",
        "Too many attempts to sign in; try again in 8 seconds.",
    ),
    503: (
        "The database is away or busy; try again.",
        "unavailable",
        "The database can't be reached right now; try again in a moment.",
    ),
}
VERBS = {"GET": "get", "POST": "post", "PUT": "set", "PATCH": "change", "DELETE": "delete"}
REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "Yours is used when it fits (1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `:`, `-`); "
    "answers carry one in any case.",
    "schema": {"type": "string"},
}
TAG = '(W/)?"[^"]*"'
PARAMETERS = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeat within 24 hours gets the first answer again.",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "Only if the resource is still at this version, as its ETag says; several "
        "by comma, `*` for any.",
        "schema": {"type": "string", "pattern": rf"^ *(\*|{TAG}( *, *{TAG})*) *$"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "304 if the resource is still at this version, as its ETag says.",
        "schema": {"type": "string"},
    },
}


def describe(calls: Sequence[Call], *, version: str, has_token: bool) -> dict[str, Any]:
    """The whole document, as plain values."""
    shapes = [Refused, *(call.body for call in calls if call.body)]
    shapes += [call.data for call in calls if call.data]
    _, schemas = msgspec.json.schema_components(shapes, ref_template=REF)
    schemas["Refused"]["properties"]["status"] = {"const": False}
    paths: dict[str, Any] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = operation(call, schemas)
    security: dict[str, Any] = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pullse",
            "version": version,
            "description": "Tickets, agents and the feed of what happens to them.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(call.tag for call in calls)],
        "security": [{"token": []}] if has_token else [{}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {str(status): refusal(status) for status in REASONS},
            "securitySchemes": {"token": security},
        },
    }


def operation(call: Call, schemas: dict[str, Any]) -> dict[str, Any]:
    verb = VERBS[call.method]
    parts = [part.strip("{}") for part in call.path.split("/") if part and part != "api"]
    found: dict[str, Any] = {
        "operationId": "_".join([verb, *parts]).replace(".", "_"),
        "summary": call.summary,
        "tags": [call.tag],
        "parameters": list(parameters(call, schemas)),
        "responses": responses(call, schemas),
    }
    if call.description:
        found["description"] = call.description
    if call.is_open:
        found["security"] = [{}]
    if call.body:
        fields = call.body.__struct_fields__
        given = call.body_example or call.example
        example = {name: value for name, value in given.items() if name in fields}
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference(call.body), "example": example}},
        }
    return found


def parameters(call: Call, schemas: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for part in call.path.split("/"):
        if part.startswith("{"):
            yield path_parameter(part.strip("{}"))
    if call.query:
        yield from query_parameters(call.query, schemas)
    if call.method == "POST" and call.is_repeatable:
        yield PARAMETERS["Idempotency-Key"]
    if call.conditional:
        yield PARAMETERS["If-None-Match" if call.method == "GET" else "If-Match"]
    yield REQUEST_ID


def path_parameter(name: str) -> dict[str, Any]:
    uuid = {"type": "string", "format": "uuid"}
    if name == "provider":
        word = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,29}$"}
        return {"name": name, "in": "path", "required": True, "schema": word}
    number = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999}
    schema = {"anyOf": [uuid, number]} if name == "ticket" else uuid
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query_parameters(shape: Any, schemas: dict[str, Any]) -> Iterable[dict[str, Any]]:
    (_,), found = msgspec.json.schema_components([shape], ref_template=REF)
    own = found.pop(shape.__name__)
    schemas.update(found)
    for name, schema in own["properties"].items():
        # A parameter is absent, not null.
        if "anyOf" in schema:
            (kept,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
            schema = {**{k: v for k, v in schema.items() if k not in ("anyOf", "default")}, **kept}
        parameter = {"name": name, "in": "query", "schema": schema}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if schema.get("type") == "array":
            schema["items"] = {"anyOf": [schema["items"], {"const": ""}]}
            parameter |= {"style": "form", "explode": True}
        yield parameter


def responses(call: Call, schemas: dict[str, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if call.conditional and call.data:
        headers["ETag"] = {"schema": {"type": "string"}}
    content: dict[str, Any] = {call.media_type: success(call)}
    for media_type, text in call.also.items():
        content[media_type] = {"schema": {"type": "string", "description": text}}
    own: dict[str, Any] = {"description": call.message, "headers": headers, "content": content}
    if call.status == 303:
        headers["Location"] = {"schema": {"type": "string"}}
        del own["content"]
    found: dict[str, Any] = {str(call.status): own}
    if call.conditional and call.method == "GET":
        found["304"] = {"description": "It is still at the version you have."}
    for status in sorted(statuses(call)):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def statuses(call: Call) -> set[int]:
    found = {400, 403, 503}
    found |= set() if call.is_open else {401, 429}
    found |= {404} if "{" in call.path else set()
    found |= {413, 415} if call.body else set()
    found |= {422} if call.method == "POST" and call.is_repeatable else set()
    kinds: dict[type[Refusal], int] = {
        Unproven: 401,
        Conflict: 409,
        Gone: 410,
        Stale: 412,
        TooMany: 429,
    }
    found |= {
        status
        for refusal in call.refuses
        for kind, status in kinds.items()
        if issubclass(refusal, kind)
    }
    return found


def success(call: Call) -> dict[str, Any]:
    if call.media_type != "application/json":
        return {"schema": {"type": "string"}}
    if call.tag == "operations":
        return {"schema": {"type": "object"}}
    example = {"status": True, "message": call.message}
    if call.data:
        example["data"] = call.example
    return {"schema": envelope(call), "example": example}


def envelope(call: Call) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "status": {"const": True},
        "message": {"const": call.message},
    }
    if call.data:
        properties["data"] = reference(call.data)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def refusal(status: int) -> dict[str, Any]:
    description, code, message = REASONS[status]
    field, _, text = message.partition(": ")
    errors = [{"field": field, "message": text}] if text else []
    return {
        "description": description,
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(name="Refused")},
                "example": {"status": False, "message": message, "code": code, "errors": errors},
            }
        },
    }


def reference(shape: Any) -> dict[str, str]:
    return {"$ref": REF.format(name=shape.__name__)}
