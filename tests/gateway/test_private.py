"""
What is private to a team, on the channels: its members see it on channels of its own, and
nobody else anywhere, whatever they ask for.
"""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullse.access.standings import Standing
from pullse.agents.permissions import ROLES
from pullse.gateway.capability import OPERATIONS, Capability
from pullse.gateway.rights import allowed, covers, usual
from pullse.kit.db import Database
from pullse.kit.edge import EVERYTHING
from tests.api.calls import problems
from tests.gateway.desk import TOKEN, Desk, Person, is_cut
from tests.gateway.protocol import (
    ACK,
    ATTACHED,
    ENTER,
    ERROR,
    HAS_BACKLOG,
    MESSAGE,
    NACK,
    RESUMED,
    Client,
)
from tests.gateway.served import Served

PUBLIC = ("tickets-updates", "tickets-activity")


def channels_of(team: str, ticket: str) -> list[str]:
    return [f"private:{team}:{each}" for each in (*PUBLIC, f"ticket:{ticket}")]


async def watching(at: Served, token: str, *channels: str) -> Client:
    client = await at.connect(token=token)
    for each in channels:
        assert (await client.attach(each))["action"] == ATTACHED, each
    return client


async def history(at: Served, token: str, channel: str) -> list[str]:
    """Whose tickets' messages there are, by title; or the code with which it is refused."""
    headers = {"authorization": f"Bearer {token}"}
    answer = await at.http.get(f"/channels/{channel}/messages", headers=headers)
    if answer.status_code != 200:
        return [str(answer.json()["error"]["code"])]
    return [title_of(each) for each in answer.json() if each["name"].startswith("ticket")]


def title_of(message: Any) -> str:
    data = json.loads(message["data"])
    return str(data["data"]["title"] if "data" in data else data["title"])


async def titles(client: Client, channel: str, count: int) -> list[str]:
    return [title_of(each) for each in await client.messages(count, channel)]


# -- who sees it --


async def test_members_see_it_on_the_teams_channels_and_nobody_elsewhere(desk: Desk) -> None:
    """Live, in history and on streams, at both processes."""
    ada, ben = await desk.hire(), await desk.hire("Ben")
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(team, "A raise")
    public = await desk.new_ticket(title="A mouse")
    inside, outside = await ada.token(), await ben.token()
    everywhere = (*PUBLIC, f"ticket:{ticket}")
    members = [
        await watching(each, inside, *everywhere, *channels_of(team, ticket)) for each in desk.both
    ]
    others = [await watching(each, outside, *everywhere) for each in desk.both]
    async with desk.stream(desk.elsewhere, outside, ",".join(everywhere)) as stream:
        await desk.change(ticket, status="in_progress")
        await desk.change(public, status="resolved")
        for client in members:
            for channel in channels_of(team, ticket):
                assert await titles(client, channel, 1) == ["A raise"]
            for channel in PUBLIC:
                assert await titles(client, channel, 1) == ["A mouse"]
        for client in others:
            for channel in PUBLIC:
                assert await titles(client, channel, 1) == ["A mouse"]
            await client.pinged()
        await stream.data("A mouse")
        assert "A raise" not in "".join(stream.told)
    for client in (*members, *others):
        assert not [each for each in client.waiting if each["action"] == MESSAGE]
    for at in desk.both:
        for token in (inside, outside):
            assert await history(at, token, "tickets-updates") == ["A mouse"] * 2
            assert await history(at, token, "tickets-activity") == ["A mouse"] * 2
            assert await history(at, token, f"ticket:{ticket}") == []
        for channel in channels_of(team, ticket):
            assert await history(at, inside, channel) == ["A raise"] * 2
            assert await history(at, outside, channel) == ["40160"]


async def test_the_messages_are_those_of_the_usual_channels(desk: Desk) -> None:
    """Same names, ids and data, so a client handles both alike."""
    ada = await desk.hire()
    team = await desk.new_team(ada)
    client = await watching(desk.here, await ada.token(), f"private:{team}:tickets-updates")
    ticket = await desk.new_ticket(team)
    await desk.change(ticket, status="resolved")
    await desk.ask("DELETE", f"/api/tickets/{ticket}")
    messages = await client.messages(3)
    assert [each["name"] for each in messages] == [
        "ticket_created",
        "ticket_updated",
        "ticket_deleted",
    ]
    assert {json.loads(each["data"])["ticketId"] for each in messages} == {ticket}
    facts = (await desk.operator.get("/api/events", params={"ticket_id": ticket})).json()
    assert [each["id"] for each in messages] == [
        str(each["id"]) for each in facts["data"]["records"]
    ]


async def test_who_sees_all_has_every_teams_channels(desk: Desk) -> None:
    team = await desk.new_team()
    ticket = await desk.new_ticket(team, "A raise")
    admin = await desk.hire("Mia", "admin")
    one = f"private:{team}:ticket:{ticket}"
    for person in (admin, Person(desk, uuid4(), desk.operator)):
        token = await person.token()
        client = await watching(desk.elsewhere, token, one)
        await desk.change(ticket, priority="high" if person is admin else "low")
        assert await titles(client, one, 1) == ["A raise"]
        for channel in channels_of(team, ticket):
            assert "A raise" in await history(desk.elsewhere, token, channel)


async def test_an_admins_token_with_fewer_scopes_sees_less(desk: Desk) -> None:
    team = await desk.new_team()
    ticket = await desk.new_ticket(team)
    admin = await desk.hire("Mia", "admin", scopes=["events:read", "tickets:read", "me:read"])
    token = await admin.token(capability='{"*":["*"],"private:*":["*"]}')
    for channel in channels_of(team, ticket):
        assert await history(desk.here, token, channel) == ["40160"]
    assert await history(desk.here, token, "tickets-updates") == []


# -- every way to ask for it --


WAYS = [
    "*",
    "[*]*",
    "[*]private:*",
    "private:*",
    "*:*",
    "*:{team}:*",
    "*:{team}:tickets-updates",
    "*:*:tickets-activity",
    "*:*:ticket:{ticket}",
    "private:*:tickets-updates",
    "private:*:ticket:*",
    "private:{team}:*",
    "private:{team}:tickets-updates",
    "private:{team}:ticket:{ticket}",
]


@pytest.mark.parametrize("way", WAYS)
async def test_no_capability_reaches_it_from_outside(desk: Desk, way: str) -> None:
    """Of an agent in another private team, a reader, and a service."""
    team = await desk.new_team()
    ben = await desk.hire("Ben")
    own = await desk.new_team(ben, name="Own")
    ticket = await desk.new_ticket(team, "A raise")
    mine = await desk.new_ticket(own, "Mine")
    resource = way.format(team=team, ticket=ticket)
    capability = json.dumps({resource: ["*"], "tickets-updates": ["subscribe"]})
    for person in (ben, await desk.hire("Eve", "read_only"), await desk.service()):
        alone = await person.http.get(TOKEN, params={"capability": json.dumps({resource: ["*"]})})
        assert alone.status_code in (200, 403)
        token = await person.token(capability=capability)
        client = await desk.elsewhere.connect(token=token)
        for channel in channels_of(team, ticket):
            refused = await client.attach(f"[?rewind=10]{channel}")
            assert (refused["action"], refused["error"]["code"]) == (ERROR, 40160)
            assert await history(desk.here, token, channel) == ["40160"]
            query = {"v": "1.2", "channels": channel, "accessToken": token}
            assert (await desk.here.http.get("/sse", params=query)).status_code == 401
        if person is ben and way in ("*", "[*]*", "private:*", "*:*"):
            for channel in channels_of(own, mine):
                assert await history(desk.here, token, channel) == ["Mine"]
        assert "A raise" not in str(client.waiting)


async def test_all_channels_becomes_ones_own(desk: Desk) -> None:
    ada = await desk.hire()
    team = await desk.new_team(ada)
    await desk.new_team(ada, is_private=False, name="Public")

    async def covered(capability: str | None) -> Any:
        params = {} if capability is None else {"capability": capability}
        return json.loads((await ada.http.get(TOKEN, params=params)).json()["capability"])

    follow = ["channel-metadata", "history", "subscribe"]
    join = ["channel-metadata", "history", "presence", "subscribe"]
    own = {
        "tickets-updates": follow,
        "tickets-activity": follow,
        "ticket:*": join,
        f"private:{team}:*": join,
    }
    assert await covered(None) == await covered('{"*":["*"]}') == await covered('{"[*]*":["*"]}')
    assert await covered(None) == own
    assert await covered('{"private:*":["subscribe"]}') == {f"private:{team}:*": ["subscribe"]}
    assert await covered('{"private:*:tickets-updates":["*"]}') == {
        f"private:{team}:tickets-updates": join
    }
    assert await covered('{"chat:*":["*"],"ticket:*":["publish","subscribe"]}') == {
        "chat:*": ["*"],
        "ticket:*": ["subscribe"],
    }


async def test_a_key_of_the_operator_is_the_operators_decision(desk: Desk) -> None:
    team = await desk.new_team()
    client = await desk.here.connect()
    channel = f"private:{team}:tickets-updates"
    assert (await client.attach(channel))["action"] == ATTACHED
    await desk.new_ticket(team, "A raise")
    assert await titles(client, channel, 1) == ["A raise"]


# -- over time --


async def test_a_ticket_that_becomes_private_is_gone_from_the_usual_channels(desk: Desk) -> None:
    """For who has been there all the time, who comes back by a serial, and in what is past."""
    ada, ben = await desk.hire(), await desk.hire("Ben")
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(title="A raise")
    inside, outside = await ada.token(), await ben.token()
    there = await watching(desk.elsewhere, outside, *PUBLIC, f"ticket:{ticket}")
    away = await desk.here.connect(token=outside)
    serials = {
        each: (await away.attach(each))["channelSerial"] for each in (*PUBLIC, f"ticket:{ticket}")
    }
    await away.cut()
    await desk.change(ticket, status="in_progress")
    for channel in serials:
        assert await titles(there, channel, 1) == ["A raise"]
    await desk.change(ticket, team_id=team)
    await desk.change(ticket, status="resolved", title="A big raise")
    await desk.new_ticket(title="A mouse")
    assert await titles(there, "tickets-activity", 1) == ["A mouse"]
    back = await desk.elsewhere.connect(token=outside, resume=away.key)
    for channel, serial in serials.items():
        attached = await back.attach(channel, channelSerial=serial)
        assert attached["flags"] & RESUMED
    for channel in PUBLIC:
        assert await titles(back, channel, 1) == ["A mouse"]
    for client in (there, back):
        await client.pinged()
        assert "raise" not in str(client.waiting)
    for channel in (*PUBLIC, f"ticket:{ticket}"):
        assert "raise" not in str(await history(desk.here, outside, channel))
    member = await desk.here.connect(token=inside)
    one = f"private:{team}:ticket:{ticket}"
    attached = await member.attach(f"[?rewind=100]{one}")
    assert attached["flags"] & HAS_BACKLOG
    assert [title_of(each)[-5:] for each in await member.messages(4)] == ["raise"] * 4
    assert len(await history(desk.here, inside, one)) == 4


async def test_a_stream_that_rewinds_or_resumes_finds_only_what_is_public(desk: Desk) -> None:
    ada, ben = await desk.hire(), await desk.hire("Ben")
    team = await desk.new_team(ada)
    await desk.new_ticket(title="First")
    outside = await ben.token()
    async with desk.stream(desk.here, outside, "tickets-activity", rewind=1) as stream:
        id_ = (await stream.data("id:")).removeprefix("id: ")
    secret = await desk.new_ticket(team, "A raise")
    await desk.change(secret, status="closed")
    await desk.new_ticket(title="Last")
    for query in ({"rewind": 50}, {"lastEvent": id_}):
        async with desk.stream(desk.elsewhere, outside, "tickets-activity", **query) as stream:
            await stream.data("Last")
            assert "A raise" not in "".join(stream.told)
    async with desk.stream(
        desk.elsewhere, await ada.token(), f"private:{team}:tickets-activity", rewind=50
    ) as stream:
        await stream.data("closed")
        assert "First" not in "".join(stream.told)


async def test_a_ticket_that_leaves_a_private_team_leaves_its_channels(desk: Desk) -> None:
    ada = await desk.hire()
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(team, "A raise")
    token = await ada.token()
    client = await watching(desk.elsewhere, token, *PUBLIC, *channels_of(team, ticket))
    await desk.change(ticket, team_id=None)
    await desk.change(ticket, status="resolved")
    assert await titles(client, "tickets-updates", 1) == ["A raise"]
    for channel in channels_of(team, ticket):
        assert await history(desk.here, token, channel) == []
    assert len(await history(desk.here, token, f"ticket:{ticket}")) == 3


async def test_a_team_that_becomes_private_takes_its_tickets_along(desk: Desk) -> None:
    ada, ben = await desk.hire(), await desk.hire("Ben")
    team = await desk.new_team(ada, is_private=False)
    ticket = await desk.new_ticket(team, "A raise")
    outside = await ben.token()
    client = await watching(desk.elsewhere, outside, *PUBLIC)
    assert await history(desk.here, outside, "tickets-updates") == ["A raise"]
    await desk.ask("PATCH", f"/api/teams/{team}", {"is_private": True})
    await desk.change(ticket, status="resolved")
    await desk.new_ticket(title="A mouse")
    assert await titles(client, "tickets-updates", 1) == ["A mouse"]
    assert await history(desk.here, outside, "tickets-updates") == ["A mouse"]
    assert (
        await history(desk.here, await ada.token(), f"private:{team}:tickets-updates")
        == ["A raise"] * 2
    )


async def test_who_left_the_team_gets_no_more_of_it(desk: Desk) -> None:
    """The client comes back by a token with less, and the team's channels are not among it."""
    ada = await desk.hire()
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(team, "A raise")
    channel = f"private:{team}:ticket:{ticket}"
    old = await ada.token()
    client = await watching(desk.elsewhere, old, channel, "tickets-updates")
    serial = (await client.attach(channel))["channelSerial"]
    await desk.leave(team, ada)
    await is_cut(client)
    await desk.change(ticket, status="resolved")
    assert (await desk.here.refusal(token=old, resume=client.key)).error["code"] == 40141
    back = await desk.here.connect(token=await ada.token(), resume=client.key)
    assert back.id == client.id
    assert (await back.attach(channel, channelSerial=serial))["error"]["code"] == 40160
    assert (await back.attach("tickets-updates"))["action"] == ATTACHED
    assert "A raise" not in str(back.waiting)


# -- presence, publishing, names --


async def test_presence_is_the_teams_own(desk: Desk) -> None:
    ada, ben = await desk.hire(), await desk.hire("Ben")
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(team)
    channel = f"private:{team}:ticket:{ticket}"
    inside, outside = await ada.token(), await ben.token()
    client = await watching(desk.elsewhere, inside, channel)
    assert (await client.present(channel, ENTER, data="writing"))["action"] == ACK
    names = {"channels": f"{channel},ticket:{ticket}"}
    for token, count in ((inside, 1), (outside, None)):
        headers = {"authorization": f"Bearer {token}"}
        alone = await desk.here.http.get(f"/channels/{channel}/presence", headers=headers)
        batch = await desk.here.http.get("/presence", params=names, headers=headers)
        first, second = batch.json()["results"]
        assert second["presence"] == []
        if count is None:
            assert (alone.status_code, first["error"]["code"]) == (401, 40160)
        else:
            assert len(alone.json()) == len(first["presence"]) == count


async def test_the_list_of_channels_is_for_who_sees_all(desk: Desk) -> None:
    ada = await desk.hire()
    team = await desk.new_team(ada)
    inside = await ada.token(capability='{"*":["*"]}')
    await watching(desk.here, inside, f"private:{team}:tickets-updates")
    headers = {"authorization": f"Bearer {inside}"}
    assert (await desk.here.http.get("/channels", headers=headers)).status_code == 401
    mia = await desk.hire("Mia", "admin")
    everything = await mia.token(capability='{"*":["*"]}')
    headers = {"authorization": f"Bearer {everything}"}
    shown = (await desk.here.http.get("/channels", headers=headers)).json()
    assert f"private:{team}:tickets-updates" in shown


@pytest.mark.parametrize(
    "name",
    [
        "private:",
        "private::",
        "private:chat",
        "private:{team}",
        "private:{team}:",
        "private:{team}:chat",
        "private:{team}:tickets-updates:x",
        "private:{team}:ticket:",
        "private:{team}:ticket:42",
        "private:{team}:ticket:{TEAM}",
        "private:{TEAM}:tickets-updates",
        "private:{{{team}}}:tickets-updates",
        "private:{hex}:tickets-updates",
        "private:x:tickets-updates",
        "private::tickets-updates",
        "private:{team}:private:{team}:tickets-updates",
    ],
)
async def test_what_else_begins_like_this_is_no_channel(served: Served, name: str) -> None:
    """For nobody: nothing that is public may look like something private, or be beside it."""
    team = "019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04"
    channel = name.format(team=team, TEAM=team.upper(), hex=UUID(team).hex)
    client = await served.connect()
    assert (await client.attach(channel))["error"]["code"] == 40010
    assert (await client.publish(channel, "hello"))["error"]["code"] == 40010
    answer = await served.http.get(
        f"/channels/{channel}/messages", params={"key": "pullse.dev:local-development-only"}
    )
    assert answer.json()["error"]["code"] == 40010


async def test_nobody_publishes_there(desk: Desk) -> None:
    ada = await desk.hire()
    team = await desk.new_team(ada)
    ticket = await desk.new_ticket(team)
    token = await ada.token(capability=f'{{"private:{team}:*":["*"],"chat":["*"]}}')
    for client in (await desk.here.connect(), await desk.here.connect(token=token)):
        for channel in channels_of(team, ticket):
            refused = await client.publish(channel, "hello")
            assert (refused["action"], refused["error"]["code"]) == (NACK, 40160)
        assert (await client.publish("chat", "hello"))["action"] == ACK


async def test_where_to_look_is_told_to_each_caller(desk: Desk) -> None:
    ada, ben = await desk.hire(), await desk.hire("Ben")
    wages = await desk.new_team(ada)
    law = await desk.new_team(name="Law")
    await desk.new_team(ben, is_private=False, name="Public")

    async def told(person: Person) -> list[str]:
        found: list[str] = (await person.http.get("/api/realtime/config")).json()["data"][
            "channels"
        ]
        assert found[:3] == [*PUBLIC, "ticket:<id>"]
        return found[3:]

    names = (*PUBLIC, "ticket:<id>")
    assert await told(ada) == [f"private:{wages}:{each}" for each in names]
    assert await told(ben) == []
    assert await told(await desk.service()) == []
    mia = await desk.hire("Mia", "admin")
    assert await told(mia) == [f"private:{team}:{each}" for team in (law, wages) for each in names]


# -- the rule itself --

TEAMS = [UUID(int=number) for number in range(1, 4)]
SEGMENTS = st.sampled_from(
    ["*", "private", "ticket", "chat", "tickets-updates", "tickets-activity", *map(str, TEAMS)]
)
RESOURCES = st.builds(
    lambda kind, segments: kind + ":".join(segments),
    st.sampled_from(["", "", "", "[*]", "[meta]"]),
    st.lists(SEGMENTS, min_size=1, max_size=4),
)
ASKED = st.dictionaries(
    RESOURCES,
    st.lists(st.sampled_from(["publish", "subscribe", "presence", "history"]), min_size=1)
    | st.just(["*"]),
    min_size=1,
    max_size=4,
)
NAMES = [
    *PUBLIC,
    "chat",
    "chat:private",
    "private",
    f"ticket:{UUID(int=9)}",
    *(f"private:{team}:{each}" for team in TEAMS for each in (*PUBLIC, f"ticket:{UUID(int=9)}")),
    f"private:{TEAMS[0]}",
    f"chat:{TEAMS[0]}:tickets-updates",
]


@given(ASKED, st.sampled_from(sorted(ROLES)), st.none() | st.sets(st.sampled_from(TEAMS)))
def test_a_token_never_covers_more_than_its_holder_may(
    asked: dict[str, list[str]], role: str, teams: set[UUID] | None
) -> None:
    """And what was given is what the look each second finds to be good."""
    own = None if teams is None else frozenset(teams)
    mine = allowed(ROLES[role], own)
    wanted = Capability.parse(asked)
    found = mine.of(wanted)
    for name in NAMES:
        ops = found.ops(name)
        assert ops <= wanted.ops(name)
        parts = name.split(":")
        if parts[0] == "private" and own is not None:
            assert not ops or UUID(parts[1]) in own
            assert "publish" not in ops
        if name in PUBLIC and own is not None:
            assert ops <= {"channel-metadata", "history", "subscribe"}
        if parts[0] in ("chat", "private") and len(parts) == 1:
            assert not ops or "tickets:write" in ROLES[role]
    assert covers(Standing(ROLES[role], own), found)
    assert not ROLES[role] or mine.covers(usual(own))


def test_what_is_lost_is_not_covered() -> None:
    mine, others = frozenset(TEAMS[:1]), frozenset(TEAMS[1:])
    rights = ROLES["agent"]
    given_ = allowed(rights, mine).of(Capability.parse({"private:*": ["subscribe"]}))
    assert covers(Standing(rights, mine), given_)
    assert covers(Standing(rights, mine | others), given_)
    assert covers(Standing(rights, None), given_)
    assert not covers(Standing(rights, others), given_)
    assert not covers(Standing(frozenset(), mine), given_)
    assert not covers(None, given_)
    everything = allowed(EVERYTHING, None).of(Capability.parse({"*": ["*"]}))
    assert everything.ops(f"private:{TEAMS[0]}:tickets-updates") == OPERATIONS
    assert not covers(Standing(ROLES["owner"], mine), everything)
    assert not covers(Standing(frozenset({"events:read"}), None), everything)


async def test_tokens_for_very_many_teams_are_refused_with_a_reason(
    desk: Desk, database: Database
) -> None:
    """One may ask for some of them."""
    ada = await desk.hire()
    async with database.session() as db:
        await db.run(
            """
            WITH new AS (
                INSERT INTO teams (id, name, is_private)
                SELECT gen_random_uuid(), 'Team ' || n, true FROM generate_series(1, 200) AS n
                RETURNING id
            )
            INSERT INTO team_members (team_id, agent_id) SELECT id, $1 FROM new
            """,
            ada.id,
        )
    await desk.ask("PATCH", f"/api/agents/{ada.id}", {"name": "Ada L."})  # and so it is read anew
    answer = await ada.http.get(TOKEN)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert list(problems(answer)) == ["capability"]
    token = await ada.token(capability='{"tickets-updates":["subscribe"]}')
    assert await history(desk.here, token, "tickets-updates") == ["40160"]
