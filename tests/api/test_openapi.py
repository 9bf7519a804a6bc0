"""The description of the API: valid OpenAPI 3.1, whole, and true."""

import json
from typing import Any

import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi import definitions

from pullse import app
from pullse.access.passkeys.api import MADE, SIGNED
from pullse.kit.db import Database
from pullse.kit.guard import OPEN, OPEN_GETS
from tests.api.calls import Body, change, delete, new_agent, new_ticket

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Body:
    answer = await client.get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def operations(document: Body) -> list[tuple[str, str, Body]]:
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def resolved(document: Body, value: Body) -> Body:
    """What a reference points to, or the value itself."""
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def validator(document: Body, schema: Body) -> Any:
    """Formats are checked, references followed."""
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


async def test_it_is_valid_openapi(document: Body) -> None:
    assert document["openapi"] == "3.1.0"
    jsonschema_rs.validate(definitions.OPENAPI_31, document)


async def test_every_schema_is_a_valid_one(document: Body) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
        validator(document, schema)


async def test_every_reference_leads_somewhere(document: Body) -> None:
    text = json.dumps(document)
    for part in text.split('"$ref": "')[1:]:
        assert resolved(document, {"$ref": part.split('"')[0]})


async def test_every_call_is_described_once(document: Body) -> None:
    described = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
    assert described == {call.name for call in app.calls}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations(document):
        assert method in METHODS
        assert operation["summary"]
        assert operation["tags"][0] in [tag["name"] for tag in document["tags"]]
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


async def test_every_call_has_an_example_that_is_valid(document: Body) -> None:
    for method, path, operation in operations(document):
        if operation["tags"] == ["operations"]:
            continue
        contents = [("answer", each["content"]) for each in answers(document, operation)]
        if "requestBody" in operation:
            contents.append(("body", operation["requestBody"]["content"]))
        for what, content in contents:
            shown = content.get("application/json")
            if shown is None:
                assert path == "/api/audit/export", (method, path, what)
                continue
            assert "example" in shown, (method, path, what)
            validator(document, shown["schema"]).validate(shown["example"])


def answers(document: Body, operation: Body) -> list[Body]:
    found = [resolved(document, each) for each in operation["responses"].values()]
    return [each for each in found if "content" in each]


async def test_every_call_tells_of_the_refusals_that_all_share(document: Body) -> None:
    for method, path, operation in operations(document):
        told = set(operation["responses"])
        assert {"400", "403", "503"} <= told
        assert ("404" in told) == ("{" in path)
        assert ({"413", "415"} <= told) == ("requestBody" in operation)
        (call,) = [each for each in app.calls if each.name == f"{method.upper()} {path}"]
        takes_key = method == "post" and call.is_repeatable
        assert ("422" in told) == takes_key
        guarded = {each["name"] for each in operation["parameters"]}
        assert ("412" in told) == ("If-Match" in guarded)
        assert ("304" in told) == ("If-None-Match" in guarded)


async def test_real_answers_fit_their_descriptions(
    client: httpx.AsyncClient, document: Body, database: Database
) -> None:
    died = "INSERT INTO jobs (name, attempts, error, dead_at) VALUES ('a.b', 12, 'x', now())"
    async with database.session() as db:
        job = f"/api/jobs/{await db.value(f'{died} RETURNING id')}"
    ada = await new_agent(client)
    ticket = await change(
        client, await new_ticket(client), status="resolved", assigned_to=ada["id"]
    )
    trashed = await new_ticket(client)
    await delete(client, trashed)
    body = {"title": "Help", "description": "It broke."}
    new_token = {"name": "Export", "agent_id": ada["id"], "scopes": ["tickets:read"]}
    made = await client.post("/api/tokens", json=new_token)
    token = f"/api/tokens/{made.json()['data']['id']}"
    made = await client.post("/api/teams", json={"name": "Billing"})
    team = f"/api/teams/{made.json()['data']['id']}"
    member = "/api/teams/{team}/members/{agent}"
    bulk, which = "/api/tickets/bulk", [{"id": ticket["id"]}]
    keys = "/api/realtime/keys"
    verification = "/api/audit/verification"
    enter, link = "/api/session/passkey", "/api/links/{link}/passkey"
    policies = {"second_factor": False, "single_sign_on": False}
    asked = [
        ("GET", "/api/me", "/api/me", {}),
        ("POST", "/api/tokens", "/api/tokens", {"json": new_token}),
        ("POST", "/api/tokens", "/api/tokens", {"json": {**new_token, "role": "agent"}}),
        ("GET", "/api/tokens", "/api/tokens", {}),
        ("GET", "/api/tokens", "/api/tokens?cursor=x", {}),
        ("POST", "/api/tokens/{token}/rotate", f"{token}/rotate", {"json": {}}),
        ("POST", "/api/tokens/{token}/rotate", f"{token}/rotate", {"json": {}}),
        ("DELETE", "/api/tokens/{token}", token, {}),
        ("DELETE", "/api/tokens/{token}", "/api/tokens/nonsense", {}),
        ("POST", "/api/session", "/api/session", {"json": {"email": "a", "password": "b"}}),
        ("DELETE", "/api/session", "/api/session", {}),
        ("PUT", "/api/session/password", "/api/session/password", {"json": {}}),
        ("POST", "/api/session/totp", "/api/session/totp", {"json": {"password": "a"}}),
        ("PUT", "/api/session/totp", "/api/session/totp", {"json": {"code": "123456"}}),
        ("POST", "/api/session/totp/remove", "/api/session/totp/remove", {"json": {}}),
        ("GET", "/api/sessions", "/api/sessions", {}),
        ("DELETE", "/api/sessions", "/api/sessions", {}),
        ("DELETE", "/api/sessions/{session}", "/api/sessions/x", {}),
        ("GET", "/api/session/identities", "/api/session/identities", {}),
        (
            "DELETE",
            "/api/session/identities/{identity}",
            "/api/session/identities/x",
            {},
        ),
        ("GET", "/api/sign-in/providers", "/api/sign-in/providers", {}),
        ("GET", "/api/sign-in/oidc/{provider}", "/api/sign-in/oidc/corp", {}),
        (
            "GET",
            "/api/sign-in/oidc/{provider}/callback",
            "/api/sign-in/oidc/corp/callback?code=a",
            {},
        ),
        ("POST", "/api/invitations", "/api/invitations", {"json": {"agent_id": ada["id"]}}),
        ("GET", "/api/agents/{agent}/sessions", f"/api/agents/{ada['id']}/sessions", {}),
        ("GET", "/api/agents/{agent}/sessions", "/api/agents/x/sessions", {}),
        (
            "DELETE",
            "/api/agents/{agent}/sessions/{session}",
            f"/api/agents/{ada['id']}/sessions/x",
            {},
        ),
        ("DELETE", "/api/agents/{agent}/sessions", f"/api/agents/{ada['id']}/sessions", {}),
        ("DELETE", "/api/agents/{agent}/sessions", "/api/agents/x/sessions", {}),
        ("POST", "/api/links/{link}", "/api/links/x", {"json": {"password": "not a good one"}}),
        ("POST", "/api/teams", "/api/teams", {"json": {"name": "Refunds"}}),
        ("POST", "/api/teams", "/api/teams", {"json": {"name": "billing"}}),
        ("GET", "/api/teams", "/api/teams", {}),
        ("GET", "/api/teams/{team}", team, {}),
        ("GET", "/api/teams/{team}", "/api/teams/x", {}),
        ("PATCH", "/api/teams/{team}", team, {"json": {"is_private": True}}),
        ("PATCH", "/api/teams/{team}", team, {"json": {"name": "REFUNDS"}}),
        ("PUT", member, f"{team}/members/{ada['id']}", {}),
        ("PUT", member, f"{team}/members/x", {}),
        ("GET", "/api/teams/{team}/members", f"{team}/members", {}),
        ("DELETE", member, f"{team}/members/{ada['id']}", {}),
        ("DELETE", "/api/teams/{team}", team, {}),
        ("POST", f"{link}/options", "/api/links/x/passkey/options", {"json": {}}),
        ("POST", link, "/api/links/x/passkey", {"json": {"credential": MADE}}),
        ("POST", f"{enter}/options", f"{enter}/options", {"json": {}}),
        ("POST", enter, enter, {"json": {"credential": SIGNED}}),
        ("POST", enter, enter, {"json": {}}),
        ("GET", "/api/passkeys", "/api/passkeys", {}),
        ("POST", "/api/passkeys/options", "/api/passkeys/options", {"json": {}}),
        ("POST", "/api/passkeys", "/api/passkeys", {"json": {"credential": MADE}}),
        ("PATCH", "/api/passkeys/{passkey}", "/api/passkeys/x", {"json": {"name": "A"}}),
        ("POST", "/api/passkeys/{passkey}/remove", "/api/passkeys/x/remove", {"json": {}}),
        ("GET", "/api/policies", "/api/policies", {}),
        ("PUT", "/api/policies", "/api/policies", {"json": policies}),
        ("PUT", "/api/policies", "/api/policies", {"json": policies | {"single_sign_on": True}}),
        ("POST", "/api/markdown", "/api/markdown", {"json": {"text": "*a*"}}),
        ("POST", "/api/markdown", "/api/markdown", {"json": {"text": 1}}),
        ("GET", "/api/tickets", "/api/tickets?limit=1", {}),
        ("GET", "/api/tickets", "/api/tickets?limit=x", {}),
        ("POST", "/api/tickets", "/api/tickets", {"json": body}),
        ("POST", "/api/tickets", "/api/tickets", {"json": {}}),
        ("POST", "/api/tickets", "/api/tickets", {"content": "{}"}),
        ("GET", "/api/tickets/{ticket}", f"/api/tickets/{ticket['id']}", {}),
        ("GET", "/api/tickets/{ticket}", "/api/tickets/99", {}),
        ("PATCH", "/api/tickets/{ticket}", f"/api/tickets/{ticket['number']}", {"json": body}),
        (
            "PATCH",
            "/api/tickets/{ticket}",
            f"/api/tickets/{ticket['id']}",
            {"json": body, "headers": {"If-Match": '"1"'}},
        ),
        ("GET", "/api/tickets/{ticket}/events", f"/api/tickets/{ticket['id']}/events", {}),
        ("GET", "/api/events", "/api/events", {}),
        ("GET", "/api/events", "/api/events?after=77.1.1", {}),
        ("GET", "/api/trash/tickets", "/api/trash/tickets", {}),
        ("POST", "/api/tickets/{ticket}/restore", f"/api/tickets/{trashed['id']}/restore", {}),
        ("POST", bulk, bulk, {"json": {"tickets": which, "changes": {"status": "open"}}}),
        ("POST", bulk, bulk, {"json": {"tickets": [], "action": "delete"}}),
        ("POST", f"{bulk}/undo", f"{bulk}/undo", {"json": {"receipt": "x"}}),
        ("DELETE", "/api/tickets/{ticket}", f"/api/tickets/{ticket['id']}", {}),
        ("GET", "/api/agents", "/api/agents", {}),
        ("POST", "/api/agents", "/api/agents", {"json": {"name": "A", "email": ada["email"]}}),
        ("GET", "/api/agents/{agent}", f"/api/agents/{ada['id']}", {}),
        ("PATCH", "/api/agents/{agent}", f"/api/agents/{ada['id']}", {"json": {"name": "A"}}),
        ("DELETE", "/api/agents/{agent}", f"/api/agents/{ada['id']}", {}),
        ("GET", "/api/counts", "/api/counts", {}),
        ("GET", "/api/insight/{name}", "/api/insight/nothing", {}),
        ("GET", "/api/me/preferences", "/api/me/preferences", {}),
        ("PATCH", "/api/me/preferences", "/api/me/preferences", {"json": {"zone": "Nowhere"}}),
        ("GET", "/api/operations", "/api/operations", {}),
        ("GET", "/api/jobs", "/api/jobs?state=dead", {}),
        ("GET", "/api/jobs", "/api/jobs?state=late", {}),
        ("GET", "/api/jobs/schedule", "/api/jobs/schedule", {}),
        ("GET", "/api/jobs/{job}", job, {}),
        ("POST", "/api/jobs/{job}/retry", f"{job}/retry", {}),
        ("POST", "/api/jobs/retry", "/api/jobs/retry", {"json": {}}),
        ("DELETE", "/api/jobs/{job}", job, {}),
        ("DELETE", "/api/jobs/{job}", "/api/jobs/0", {}),
        ("GET", keys, keys, {}),
        ("GET", keys, f"{keys}?cursor=x", {}),
        ("POST", keys, keys, {"json": {"note": "A page"}}),
        ("POST", keys, keys, {"json": {"capability": {"a": ["fly"]}}}),
        ("DELETE", f"{keys}/{{key}}", f"{keys}/pullse.nothing", {}),
        ("GET", "/api/audit", "/api/audit", {}),
        ("GET", "/api/audit", "/api/audit?after=yesterday", {}),
        ("POST", verification, verification, {"json": {"expect": "ab" * 32}}),
        ("POST", verification, verification, {"json": {"hash": "x"}}),
        ("POST", "/api/audit/export", "/api/audit/export", {"json": {"format": "xml"}}),
        ("GET", "/api/realtime/token", "/api/realtime/token", {}),
        ("GET", "/api/realtime/token", "/api/realtime/token?ttl=soon", {}),
        ("GET", "/api/realtime/config", "/api/realtime/config", {}),
        ("GET", "/api/openapi.json", "/api/openapi.json", {}),
        ("GET", "/health/live", "/health/live", {}),
        ("GET", "/health/ready", "/health/ready", {}),
    ]
    assert {(method, path) for method, path, _, _ in asked} == {
        (call.method, call.path) for call in app.calls if call.path != "/metrics"
    }
    for method, path, where, with_ in asked:
        answer = await client.request(method, where, **with_)

        responses = document["paths"][path][method.lower()]["responses"]
        described = resolved(document, responses[str(answer.status_code)])
        content = described["content"][answer.headers["content-type"]]
        validator(document, content["schema"]).validate(answer.json())
        assert {name.lower() for name in described["headers"]} <= set(answer.headers)


async def test_a_server_with_a_token_says_so(client: httpx.AsyncClient, document: Body) -> None:
    assert document["security"] == [{}]
    guarded = json.loads(app.described(has_token=True))
    assert guarded["security"] == [{"token": []}]
    assert guarded["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    open_ones = {
        f"{method.upper()} {path}"
        for method, path, each in operations(guarded)
        if each.get("security") == [{}]
    }
    assert open_ones == {call.name for call in app.calls if call.is_open}
    may_get = {each.removeprefix("GET ") for each in open_ones if "GET " in each}
    assert {path for path in may_get if not OPEN_GETS.fullmatch(path)} == OPEN
    for method, path, operation in operations(guarded):
        is_guarded = f"{method.upper()} {path}" not in open_ones
        # by a wrong password or passkey, and not for want of a token
        is_sign_in = path in ("/api/session", "/api/session/passkey")
        assert ("401" in operation["responses"]) == (is_guarded or is_sign_in)
