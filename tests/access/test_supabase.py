"""JWTs of Supabase Auth as Bearer tokens: whose they are, what they may, and which are lies."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwk

from pullse import app
from pullse.access import supabase
from pullse.access.finder import Finder
from pullse.access.oidc import jose, queries
from pullse.access.supabase import Either, SupabaseFinder
from pullse.agents.permissions import ROLES
from pullse.errors import Unavailable
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Visitor
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from pullse.settings import Settings
from tests.access.people import OPERATORS, calling, give, hire, run
from tests.access.sign_in import audited
from tests.access.single_sign_on import Clock
from tests.standins.oidc import In, signed
from tests.standins.supabase import SERVICE_KEY, SHARED, Project, projected


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    async with projected() as project:
        yield project


@pytest.fixture
def make(database: Database, project: Project, clock: Clock) -> Callable[..., SupabaseFinder]:
    def make(**more: Any) -> SupabaseFinder:
        given: dict[str, Any] = {
            "supabase_url": project.url,
            "supabase_service_key": SERVICE_KEY,
            "supabase_auth": "jwks",
            **more,
        }
        return SupabaseFinder(database, Settings(**given), clock=clock)

    return make


@pytest.fixture
def find(make: Callable[..., SupabaseFinder]) -> SupabaseFinder:
    return make()


@pytest.fixture
def both(make: Callable[..., SupabaseFinder]) -> SupabaseFinder:
    """One that knows the shared secret too."""
    return make(supabase_jwt_secret=SHARED)


@pytest.fixture
def edge(database: Database, tail: Tail, find: SupabaseFinder) -> Edge:
    guard = BearerToken(OPERATORS, find=Either(Finder(database), find))
    return app.build(database, tail, guard)


# -- who is let in --


async def test_a_user_of_the_project_acts_as_the_agent_with_that_address(
    edge: Edge, project: Project, database: Database
) -> None:
    agent_id = await hire(database, "Ada")
    async with calling(edge, project.token()) as client:
        answer = await client.post("/api/tickets", json={"title": "A", "description": "B"})
        assert answer.status_code == 201, answer.text
        assert (await client.get("/api/audit")).status_code == 403  # an agent's rights
        feed = (await client.get("/api/events?name=ticket.created")).json()
    assert feed["data"]["records"][0]["actor"] == f"agent:{agent_id}"
    async with database.session() as db:
        assert await db.value("SELECT state FROM agents") == "active"  # was only invited
    ((actor, data, _),) = await audited(database, "identity.linked")
    assert actor == f"agent:{agent_id}"
    assert json.loads(data)["issuer"] == project.issuer


async def test_api_tokens_and_the_operators_go_on_beside_them(
    edge: Edge, database: Database, project: Project
) -> None:
    token = await give(database, await hire(database, "Ben"))
    for each, status in ((token, 200), (OPERATORS, 200), ("pullse_x", 401), ("a.b.c", 401)):
        async with calling(edge, each) as client:
            assert (await client.get("/api/tickets")).status_code == status
    assert project.asked == []


async def test_rights_are_those_of_the_role_as_it_is_now(
    find: SupabaseFinder, project: Project, database: Database, clock: Clock
) -> None:
    agent_id, token = await hire(database, "Ada"), project.token()
    assert await find(token) == Visitor(f"agent:{agent_id}", ROLES["agent"])
    await run(database, "UPDATE agents SET role = 'read_only'")
    clock.now += 1
    assert await find(token) == Visitor(f"agent:{agent_id}", ROLES["read_only"])
    await run(database, "UPDATE agents SET state = 'disabled'")
    clock.now += 1
    assert await find(token) is None


async def test_in_the_process_that_did_it_a_disabled_agent_is_out_at_once(
    find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    token = project.token()
    assert await find(token) is not None
    await run(database, "UPDATE agents SET state = 'disabled'")
    assert await find(token) is not None  # read within this second
    find.forget()
    assert await find(token) is None


async def test_a_token_costs_one_look_up_a_second_and_one_check_of_its_signature(
    find: SupabaseFinder,
    project: Project,
    database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await hire(database, "Ada")
    token = project.token()
    await find(token)
    looked, checked = 0, 0
    find_many, check = queries.find_many, jose.signed

    async def counting(db: Any, wanted: Any) -> Any:
        nonlocal looked
        looked += 1
        return await find_many(db, wanted)

    def checking(*given: Any) -> Any:
        nonlocal checked
        checked += 1
        return check(*given)

    monkeypatch.setattr(queries, "find_many", counting)
    monkeypatch.setattr(jose, "signed", checking)
    for _ in range(3):
        clock.now += 1
        for _ in range(10):
            assert await find(token) is not None
    assert (looked, checked) == (3, 0)


async def test_tokens_that_are_remembered_are_bounded(
    find: SupabaseFinder, project: Project, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supabase, "PROVEN_AT_MOST", 3)
    await hire(database, "Ada")
    for _ in range(6):
        assert await find(project.token()) is not None
    assert len(find._proven) == 3


async def test_the_shared_secret_of_older_projects_is_taken(
    both: SupabaseFinder,
    make: Callable[..., SupabaseFinder],
    project: Project,
    database: Database,
) -> None:
    agent_id = await hire(database, "Ada")
    secret_alone = make(supabase_auth=None, supabase_jwt_secret=SHARED)
    for find in (both, secret_alone):
        visitor = await find(project.shared())
        assert visitor is not None
        assert visitor.id == f"agent:{agent_id}"
    assert await both(project.token()) is not None
    assert await secret_alone(project.token()) is None  # no keys are read
    assert await secret_alone(project.shared("another-secret-of-more-than-32-letters")) is None


# -- which are lies --

LIES = [
    {"iss": "https://other-project.supabase.co/auth/v1"},
    {"iss": "supabase"},
    {"iss": None},
    {"aud": "anon"},
    {"aud": None},
    {"aud": ["authenticated", "other"]},
    {"role": "anon"},
    {"role": "service_role"},
    {"role": None},
    {"exp": In(-120)},
    {"exp": None},
    {"exp": "never"},
    {"iat": In(600)},
    {"nbf": In(600)},
    {"sub": None},
    {"sub": 7},
    {"is_anonymous": True},
]


@pytest.mark.parametrize("lie", LIES, ids=", ".join)
async def test_a_token_that_is_not_ours_or_not_of_now_is_refused(
    lie: dict[str, Any], both: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    assert await both(project.token(**lie)) is None
    assert await both(project.shared(**lie)) is None
    assert await both(project.token()) is not None


async def test_a_token_of_another_project_is_refused(
    both: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    async with projected() as other:
        other.user = project.user
        assert await both(other.token()) is None
        other.url, url = project.url, other.url
        assert await both(other.token()) is None  # it says it is ours; the key is not
        other.url = url
    assert await both(project.token()) is not None


async def test_the_public_key_is_no_shared_secret_and_the_secret_no_public_key(
    both: SupabaseFinder, find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    public = project.key.as_dict(private=False)
    for text in (json.dumps(public), public["x"], project.key.as_pem(private=False).decode()):
        forged = hmac_signed(project.told(), text)
        assert await both(forged) is None
        assert await find(forged) is None
    # with keys alone, a token by the shared secret is none
    assert await find(project.shared()) is None


def hmac_signed(told: dict[str, Any], secret: str) -> str:
    """By hand: a library would refuse a public key as the secret."""
    head = {"alg": "HS256", "typ": "JWT"}
    body = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, told)
    )
    mac = hmac.digest(secret.encode(), body, "sha256")
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def test_the_hand_signs_well() -> None:
    """So what is refused above is refused for its key."""
    told = {"sub": "ada"}
    assert jose.verify_shared(hmac_signed(told, SHARED), SHARED) == told


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256"])
async def test_any_other_algorithm_is_refused(
    algorithm: str, both: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    head, body, end = project.shared().split(".")
    made = signed({"a": 1}, jwk.OctKey.import_key(SHARED), "HS256", kid=None).split(".")[0]
    assert head == made
    key = jwk.OctKey.import_key(SHARED)
    if algorithm.startswith("HS"):
        assert await both(signed(project.told(), key, algorithm, kid=None)) is None
    head = signed_head(algorithm)
    for signature in (end, ""):
        assert await both(f"{head}.{body}.{signature}") is None


def signed_head(algorithm: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("token", ["..", "a.b.c", "e30.e30.", "é.é.é", "a" * 20_000 + "..", ". ."])
async def test_what_is_no_token_asks_nobody(
    token: str, both: SupabaseFinder, project: Project
) -> None:
    assert await both(token) is None
    assert project.asked == []


async def test_a_token_is_good_until_it_expires_and_no_longer(
    find: SupabaseFinder, project: Project, database: Database
) -> None:
    """Also one whose signature is remembered."""
    await hire(database, "Ada")
    token = project.token(exp=int(time.time()) - 59)
    assert await find(token) is not None
    proven = find._proven[next(iter(find._proven))]
    await asyncio.sleep(max(0.0, proven.until - time.time()) + 0.05)
    assert await find(token) is None
    assert find._proven == {}


# -- whose address it is --


async def test_what_a_user_writes_into_their_own_token_counts_for_nothing(
    find: SupabaseFinder, project: Project, database: Database
) -> None:
    """`user_metadata` is the user's to write; the project has confirmed nothing."""
    await hire(database, "Ada")
    project.user["email_confirmed_at"] = None
    told = {"user_metadata": {"email_verified": True, "email": "ada@example.org"}}
    assert await find(project.token(**told, email_verified=True)) is None
    assert await audited(database, "identity.linked") == []


async def test_an_address_in_the_metadata_finds_nobody(
    find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    project.user["email"] = "eve@example.org"
    told = {"user_metadata": {"email_verified": True, "email": "ada@example.org"}}
    assert await find(project.token(**told)) is None
    assert "/auth/v1/user" not in project.asked  # nobody has her address: nothing to ask


@pytest.mark.parametrize(
    "settings", [{"mailer_autoconfirm": True}, {}, {"mailer_autoconfirm": "false"}], ids=str
)
async def test_a_project_that_confirms_no_addresses_links_nobody(
    settings: Any, find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    project.settings = settings
    assert await find(project.token()) is None


@pytest.mark.parametrize(
    "user",
    [
        {"id": str(uuid4())},
        {"email": "eve@example.org"},
        {"email": None},
        {"email_confirmed_at": None},
        {"email_confirmed_at": ""},
        {"email_confirmed_at": True},
        {"is_anonymous": True},
    ],
    ids=", ".join,
)
async def test_what_the_project_itself_says_of_the_user_decides(
    user: Any, find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    token = project.token()
    project.user |= user
    assert await find(token) is None


async def test_afterwards_the_subject_says_who_it_is_and_no_address(
    find: SupabaseFinder, project: Project, database: Database, clock: Clock
) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben")
    await find(project.token())
    project.user["email"] = "ben@example.org"
    clock.now += 60
    visitor = await find(project.token())
    assert visitor is not None
    assert visitor.id == f"agent:{ada}"
    await run(database, "UPDATE agents SET state = 'disabled' WHERE id = $1", ada)
    clock.now += 60
    assert await find(project.token()) is None  # nor is it Ben's now
    project.user["id"] = str(uuid4())
    visitor = await find(project.token())
    assert visitor is not None
    assert visitor.id == f"agent:{ben}"


async def test_the_project_is_asked_once_by_many_and_not_again_at_once_after_a_no(
    find: SupabaseFinder, project: Project, database: Database, clock: Clock
) -> None:
    await hire(database, "Ada")
    project.user["email_confirmed_at"] = None
    token = project.token()
    assert await asyncio.gather(*(find(token) for _ in range(10))) == [None] * 10
    for _ in range(5):
        clock.now += 2
        assert await find(token) is None
    assert project.asked.count("/auth/v1/user") == 1
    project.user["email_confirmed_at"] = "2026-11-22T09:00:00Z"
    clock.now += 30
    visitors = await asyncio.gather(*(find(token) for _ in range(10)))
    assert None not in visitors
    assert len(await audited(database, "identity.linked")) == 1


async def test_while_the_project_is_away_nobody_new_is_known_and_others_go_on(
    find: SupabaseFinder, project: Project, database: Database, clock: Clock
) -> None:
    await hire(database, "Ada")
    project.is_away = True
    with pytest.raises(Unavailable):
        await find(project.token())
    project.is_away = False
    clock.now += 10
    token = project.token()
    assert await find(token) is not None
    project.is_away = True
    clock.now += 7200
    assert await find(token) is not None  # its signature is known
    with pytest.raises(Unavailable):
        await find(project.token())


async def test_without_keys_the_answer_is_try_again_and_no_stranger(
    edge: Edge, project: Project
) -> None:
    project.is_away = True
    async with calling(edge, project.token()) as client:
        answer = await client.get("/api/tickets")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_it_is_no_session(edge: Edge, project: Project, database: Database) -> None:
    await hire(database, "Ada")
    async with calling(edge, project.token()) as client:
        for path in ("/api/sessions", "/api/session/identities"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "session_needed")


async def test_the_last_use_is_noted(
    find: SupabaseFinder, project: Project, database: Database
) -> None:
    await hire(database, "Ada")
    token = project.token()
    await find(token)
    await run(database, "UPDATE identities SET last_used_at = now() - interval '1 day'")
    await find._write()
    async with database.session() as db:
        assert await db.value("SELECT last_used_at > now() - interval '1 hour' FROM identities")


async def test_settings_decide_whether_jwts_are_looked_at(
    database: Database, project: Project
) -> None:
    guard = BearerToken(OPERATORS)
    for given, is_on in (
        ({}, False),
        ({"supabase_service_key": SERVICE_KEY}, False),
        ({"supabase_auth": "jwks"}, True),
        ({"supabase_jwt_secret": SHARED}, True),
    ):
        settings = Settings(supabase_url=project.url, **given)  # type: ignore[arg-type]
        found: Any = app.with_tokens(guard, database, settings)
        assert isinstance(found.find, Either) == is_on
