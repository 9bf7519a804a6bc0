"""
Tokens that pullse gives out stand and fall with their holders: a right that is taken away
closes what is open, at every process, and the client comes back with what is left.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from pullse.access import standings
from pullse.access.standings import Holder
from pullse.gateway import holders, tokens
from pullse.gateway.auth import Credentials, Keyring
from pullse.gateway.capability import Capability
from pullse.gateway.errors import Failure
from pullse.gateway.holders import Holders, holder_of, text_of
from pullse.gateway.keys import TOKENS
from pullse.kit.db import Database
from pullse.kit.events import Actor
from tests.access.people import give, hire, run
from tests.access.sign_in import PASSWORD
from tests.gateway.conftest import SECRET, Tokens
from tests.gateway.desk import REVOKED, TOKEN, Desk, Person, is_cut
from tests.gateway.protocol import ATTACHED, ENTER, LEAVE
from tests.gateway.served import Served

Lose = Callable[[Desk, Person], Awaitable[Any]]
WORK = json.dumps({"tickets-updates": ["subscribe"], "chat": ["publish", "subscribe", "presence"]})
"""More than who only reads may have."""

NOBODY = "019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04"
"""An id that nothing has; not a new one, because it is part of a test's name."""


async def rest(at: Served, token: str, channel: str = "tickets-updates") -> int:
    """The code with which it is refused, or 0."""
    headers = {"authorization": f"Bearer {token}"}
    answer = await at.http.get(f"/channels/{channel}/presence", headers=headers)
    return 0 if answer.status_code == 200 else int(answer.json()["error"]["code"])


async def is_void_everywhere(desk: Desk, person: Person, lose: Lose, capability: str) -> None:
    """Open it in every way at both processes, take the right, and see all of it end."""
    token = await person.token(capability=capability)
    connected = [await each.connect(token=token) for each in desk.both]
    for client in connected:
        assert (await client.attach("tickets-updates"))["action"] == ATTACHED
    assert [await rest(each, token) for each in desk.both] == [0, 0]
    async with (
        desk.stream(desk.here, token, "tickets-updates") as one,
        desk.stream(desk.elsewhere, token, "tickets-updates") as other,
    ):
        await lose(desk, person)
        for client in connected:
            await is_cut(client)
        for stream in (one, other):
            told = await stream.end()
            assert "event: error" in told
            assert str(REVOKED) in told
    for each in desk.both:
        assert await rest(each, token) == REVOKED
        assert (await each.refusal(token=token)).error["code"] == REVOKED


# -- each way of losing a right --


async def sign_out(desk: Desk, person: Person) -> None:
    assert (await person.http.delete("/api/session")).is_success


async def end_the_session_elsewhere(desk: Desk, person: Person) -> None:
    other = await desk.at_browser(person.id)
    assert (await other.http.delete("/api/sessions")).json()["data"] == {"ended": 1}


async def change_the_password_elsewhere(desk: Desk, person: Person) -> None:
    other = await desk.at_browser(person.id)
    given = {"password": PASSWORD, "new_password": "two herons by the river"}
    assert (await other.http.put("/api/session/password", json=given)).is_success


async def disable(desk: Desk, person: Person) -> None:
    await desk.ask("PATCH", f"/api/agents/{person.id}", {"state": "disabled"})


async def dismiss(desk: Desk, person: Person) -> None:
    await desk.ask("DELETE", f"/api/agents/{person.id}")


async def demote(desk: Desk, person: Person) -> None:
    await desk.ask("PATCH", f"/api/agents/{person.id}", {"role": "read_only"})


async def revoke(desk: Desk, person: Person) -> None:
    mine = (await person.http.get("/api/me")).json()["data"]["token"]["id"]
    await desk.ask("DELETE", f"/api/tokens/{mine}")


async def rotate(desk: Desk, person: Person) -> None:
    mine = (await person.http.get("/api/me")).json()["data"]["token"]["id"]
    await desk.ask("POST", f"/api/tokens/{mine}/rotate", {"overlap": 0})


async def expire(desk: Desk, person: Person) -> None:
    """As time does it."""
    await run(desk.database, "UPDATE api_tokens SET expires_at = now()")


async def idle(desk: Desk, person: Person) -> None:
    """As two weeks without use do it."""
    await run(desk.database, "UPDATE sessions SET last_used_at = now() - interval '14 days'")


async def require_more(desk: Desk, person: Person) -> None:
    """Than the password by which they signed in."""
    policy = {"second_factor": True, "single_sign_on": False}
    await desk.ask("PUT", "/api/policies", policy)


@pytest.mark.parametrize(
    "lose",
    [
        *(sign_out, end_the_session_elsewhere, change_the_password_elsewhere, idle),
        *(require_more, disable, dismiss, demote),
    ],
)
async def test_who_signed_in_loses_a_right(desk: Desk, lose: Lose) -> None:
    ada = await desk.hire_at_browser()
    await is_void_everywhere(desk, ada, lose, WORK)


@pytest.mark.parametrize("lose", [revoke, rotate, expire, disable, dismiss, demote])
async def test_who_shows_a_token_loses_a_right(desk: Desk, lose: Lose) -> None:
    await is_void_everywhere(desk, await desk.hire(), lose, WORK)


@pytest.mark.parametrize("lose", [revoke, expire])
async def test_a_service_loses_its_token(desk: Desk, lose: Lose) -> None:
    await is_void_everywhere(desk, await desk.service(), lose, WORK)


async def test_who_leaves_a_private_team_loses_its_channels(desk: Desk) -> None:
    ada = await desk.hire()
    team = await desk.new_team(ada)

    async def leave(desk: Desk, person: Person) -> None:
        await desk.leave(team, person)

    rights = {"tickets-updates": ["subscribe"], f"private:{team}:*": ["subscribe"]}
    await is_void_everywhere(desk, ada, leave, json.dumps(rights))


async def test_an_admin_who_becomes_an_agent_loses_what_covers_all(desk: Desk) -> None:
    async def become_agent(desk: Desk, person: Person) -> None:
        await desk.ask("PATCH", f"/api/agents/{person.id}", {"role": "agent"})

    await is_void_everywhere(desk, await desk.hire(role="admin"), become_agent, '{"*":["*"]}')


# -- and who keeps theirs --


async def test_what_a_token_does_not_cover_may_be_lost(desk: Desk) -> None:
    """It follows tickets, as who only reads may too; and who may more later need not renew it."""
    ada = await desk.hire()
    team = await desk.new_team(ada, is_private=False)
    token = await ada.token(capability='{"tickets-updates":["subscribe"]}')
    client = await desk.elsewhere.connect(token=token)
    await client.attach("tickets-updates")
    await demote(desk, ada)
    await desk.leave(team, ada)
    await desk.ask("PATCH", f"/api/agents/{ada.id}", {"role": "admin"})
    await is_seen_anew(desk)
    await desk.new_ticket()
    assert (await client.messages(1))[0]["name"] == "ticket_created"


async def test_the_sessions_and_tokens_of_others_end_alone(desk: Desk) -> None:
    ada = await desk.hire_at_browser()
    again, ben = await desk.at_browser(ada.id), await desk.hire("Ben")
    by_token = await desk.as_bearer(ada.id, await give(desk.database, ada.id))
    kept = [
        await desk.elsewhere.connect(token=await each.token()) for each in (again, ben, by_token)
    ]
    gone = await desk.elsewhere.connect(token=await ada.token())
    await sign_out(desk, ada)
    await is_cut(gone)
    for client in kept:
        await client.pinged()
        assert client.is_open


async def is_seen_anew(desk: Desk) -> None:
    """What was written until now is known at both processes: somebody else's end shows it."""
    other = await desk.hire(f"Somebody {uuid4()}")
    seen = [await each.connect(token=await other.token()) for each in desk.both]
    await disable(desk, other)
    for client in seen:
        await is_cut(client)


async def test_the_owner_of_dev_and_the_operator_are_not_looked_up(
    desk: Desk, served: Served
) -> None:
    for http, at in ((desk.operator, desk.here), (served.http, served)):
        found = (await http.get(TOKEN, params={"capability": '{"*":["*"]}'})).json()
        client = await at.connect(token=found["token"])
        assert (await client.publish("chat", "hello"))["msgSerial"] == 0


# -- coming back --


async def test_a_client_resumes_with_what_is_left(desk: Desk) -> None:
    """Without a gap on what it still may, and without its members where it may not be."""
    ada = await desk.hire()
    watcher = await desk.here.connect()
    await watcher.attach("chat")
    client = await desk.here.connect(token=await ada.token(capability=WORK), clientId=None)
    await client.attach("tickets-updates")
    await client.attach("chat")
    await client.present("chat", ENTER, f"agent:{ada.id}")
    assert [each["action"] for each in await watcher.presence(1)] == [ENTER]
    serial = (await client.attach("tickets-updates"))["channelSerial"]
    await demote(desk, ada)
    await is_cut(client)
    await desk.new_ticket()
    refused = await ada.http.get(TOKEN, params={"capability": '{"chat":["publish"]}'})
    assert refused.status_code == 403
    again = await desk.elsewhere.connect(resume=client.key, token=await ada.token(capability=WORK))
    assert again.id == client.id
    assert [each["action"] for each in await watcher.presence(1)] == [LEAVE]
    await again.attach("tickets-updates", channelSerial=serial)
    assert (await again.messages(1))[0]["name"] == "ticket_created"
    assert (await again.attach("chat"))["error"]["code"] == 40160


async def test_members_of_who_lost_a_right_leave_at_once(desk: Desk) -> None:
    """They do not stay as those of a client whose network broke."""
    ada = await desk.hire()
    watcher = await desk.here.connect()
    await watcher.attach("chat")
    client = await desk.elsewhere.connect(
        token=await ada.token(capability=WORK), remainPresentFor=120_000
    )
    await client.attach("chat")
    await client.present("chat", ENTER, f"agent:{ada.id}")
    await disable(desk, ada)
    await is_cut(client)
    assert [each["action"] for each in await watcher.presence(2)] == [ENTER, LEAVE]


async def test_a_connection_gets_another_token_in_time(desk: Desk) -> None:
    """One by another session holds it, when the first one ends."""
    ada = await desk.hire_at_browser()
    other = await desk.at_browser(ada.id)
    client = await desk.elsewhere.connect(token=await ada.token())
    await client.attach("tickets-updates")
    await client.send(17, auth={"accessToken": await other.token()})
    await client.take(4)
    await sign_out(desk, ada)
    await is_seen_anew(desk)
    await client.pinged()
    assert client.is_open


# -- what a token says --


@pytest.mark.parametrize(
    "holder",
    [
        "",
        "nobody",
        "operator",
        "agent:ada",
        "agent:",
        f"agent:{NOBODY} agent:{NOBODY}",
        f"session:{NOBODY}",
        f"token:{NOBODY} session:{NOBODY}",
        f"agent:{NOBODY}  session:{NOBODY}",
        f"owner session:{NOBODY}",
    ],
)
async def test_a_token_of_nobody_opens_nothing(
    database: Database, token: Tokens, holder: str
) -> None:
    keyring = Keyring(database, SECRET)
    with pytest.raises(Failure) as raised:
        await keyring.identify(Credentials(token=token(holder=holder)))
    assert raised.value.code == 40144


async def test_a_token_without_a_holder_opens_nothing(database: Database) -> None:
    """As a release before made them."""
    made = tokens.details(
        TOKENS,
        SECRET.of_key(TOKENS),
        Capability.parse('{"a":["subscribe"]}'),
        None,
        issued=tokens.now(),
        ttl=60_000,
    )
    with pytest.raises(Failure) as raised:
        await Keyring(database, SECRET).identify(Credentials(token=made["token"]))
    assert raised.value.code == 40144


async def test_a_holder_needs_all_that_it_is_held_by(database: Database, token: Tokens) -> None:
    """Somebody else's session or token makes nobody of anybody."""
    ada, ben = [await hire(database, name) for name in ("Ada", "Ben")]
    bearer = await give(database, ada)
    service = await give(database, role="agent")
    async with database.session() as db:
        ids = dict(await db.rows("SELECT agent_id IS NULL, id FROM api_tokens"))
    keyring = Keyring(database, SECRET)
    rights = {"tickets-updates": ["subscribe"]}

    async def opens(holder: str) -> bool:
        try:
            await keyring.identify(Credentials(token=token(rights, holder=holder)))
        except Failure as failure:
            return failure.code != REVOKED
        return True

    assert bearer != service
    assert await opens(f"agent:{ada}")
    assert await opens(f"agent:{ada} token:{ids[False]}")
    assert await opens(f"token:{ids[True]}")
    assert not await opens(f"agent:{ben} token:{ids[False]}")
    assert not await opens(f"agent:{ada} token:{ids[True]}")
    assert not await opens(f"token:{ids[False]}")
    assert not await opens(f"agent:{ada} session:{uuid4()}")
    assert not await opens(f"agent:{uuid4()}")


@pytest.mark.parametrize(
    ("actor", "holder"),
    [
        (Actor("owner"), None),
        (Actor("token"), None),
        (Actor(f"agent:{uuid4()}", session=uuid4()), "session"),
        (Actor(f"agent:{uuid4()}", token=uuid4()), "token"),
        (Actor(f"agent:{uuid4()}"), "nothing"),
        (Actor("token:019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04", token=uuid4()), "service"),
    ],
)
def test_who_asks_is_who_holds(actor: Actor, holder: str | None) -> None:
    found = holder_of(text_of(actor))
    agent_id = None if found is None else found.agent_id
    match holder:
        case None:
            assert found is None
        case "service":
            assert found is not None
            assert (agent_id, f"token:{found.token_id}") == (None, actor.id)
        case _:
            assert found == Holder(agent_id, actor.session, actor.token)
            assert f"agent:{agent_id}" == actor.id


# -- what it costs --


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked for, of each statement."""
    found: list[int] = []

    async def counted(db: Any, asked: Any) -> Any:
        found.append(len(asked))
        return await standings.find_many(db, asked)

    monkeypatch.setattr(holders, "find_many", counted)
    return found


async def test_a_holder_is_looked_up_once_a_second(database: Database, asked: list[int]) -> None:
    clock = Clock()
    known = Holders(database, clock=clock)
    clock.now += 1
    holder = Holder(await hire(database, "Ada"))
    for _ in range(3):
        assert await known.standing(holder)
    assert asked == [1]
    clock.now += holders.FRESH
    await disabled(database, holder)
    assert await known.standing(holder) is None
    assert asked == [1, 1]


async def test_who_took_the_right_away_knows_at_once(database: Database) -> None:
    known = Holders(database)
    holder = Holder(await hire(database, "Ada"))
    assert await known.standing(holder)
    await disabled(database, holder)
    known.forget()
    assert await known.standing(holder) is None


async def test_all_who_are_connected_cost_one_statement(
    database: Database, asked: list[int]
) -> None:
    known = Holders(database)
    connected = [Holder(await hire(database, f"Agent {number}")) for number in range(20)]
    rights = Capability.parse('{"tickets-updates":["subscribe"]}')
    await known.refresh(connected)
    assert asked == [20]
    assert known.has_news
    known.has_news = False
    await known.refresh(connected)
    assert not known.has_news
    await disabled(database, connected[3])
    await known.refresh(connected)
    assert asked == [20, 20, 20]
    assert known.has_news
    assert [known.allow(each, rights) for each in connected].count(False) == 1
    assert not known.allow(connected[3], rights)
    await known.refresh([])
    assert len(asked) == 3


async def test_what_is_remembered_is_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By those who asked; who is connected stays."""
    monkeypatch.setattr(holders, "KNOWN_AT_MOST", 3)
    known = Holders(database)
    connected = [Holder(uuid4()) for _ in range(5)]
    await known.refresh(connected)
    for _ in range(10):
        await known.standing(Holder(uuid4()))
        await known.refresh(connected)
    assert len(known._known) <= 3 + 5
    assert set(connected) <= known._known.keys()


async def test_an_earlier_answer_does_not_win_over_a_later_one(database: Database) -> None:
    known = Holders(database)
    holder = Holder(await hire(database, "Ada"))
    await known.refresh([holder])
    standing = await known.standing(holder)
    await disabled(database, holder)
    await known.refresh([holder])
    known._keep(holder, holders.Known(standing, 0.0))
    assert not known.allow(holder, Capability.parse('{"tickets-updates":["subscribe"]}'))


async def disabled(database: Database, holder: Holder) -> None:
    await run(database, "UPDATE agents SET state = 'disabled' WHERE id = $1", holder.agent_id)
