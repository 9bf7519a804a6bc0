"""ably-js in node, unmodified, against a started `pullse dev`."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.clients.continuity import check_once, cut_at_random
from tests.clients.cuts import proxy
from tests.clients.javascript import LOCK, install, played, script
from tests.clients.served import Served, publish, pullse

__all__ = ["pullse"]

BOTH = pytest.mark.parametrize("binary", [True, False], ids=["msgpack", "json"])
CAPABILITY, UNKNOWN_CONNECTION = 40160, 80018


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    install()


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in LOCK.read_text()
    assert '"ably": "2.28.0"' in LOCK.read_text()


@BOTH
async def test_it_connects_and_closes(pullse: Served, binary: bool) -> None:
    found = await played("messages", "connect", **pullse.given, binary=binary)
    assert found["hasId"]
    assert found["isUnlike"]
    assert found["errorReason"] is None
    assert found["ping"] < 1000
    assert [each["state"] for each in found["states"]] == ["closing", "closed"]


@BOTH
@pytest.mark.parametrize("receiver_binary", [True, False], ids=["to msgpack", "to json"])
async def test_payloads_arrive_as_they_were_sent(
    pullse: Served, binary: bool, receiver_binary: bool
) -> None:
    given = {**pullse.given, "binary": binary, "receiver_binary": receiver_binary}
    found = await played("messages", "payloads", **given)
    sent, got, history = found["sent"], found["got"], found["history"]
    assert content(got) == content(sent)
    assert content(history) == content(sent)
    assert {each["encoding"] for each in got} == {None}
    assert [each["serial"] for each in got] == found["serials"]
    assert found["serials"] == sorted(set(found["serials"]))
    same = ("id", "serial", "timestamp", "clientId", "connectionId")
    assert [[each.get(name) for name in same] for each in got] == [
        [each.get(name) for name in same] for each in history
    ]
    half = len(got) // 2
    assert all(each.get("connectionId") for each in got[:half])
    assert not any(each.get("connectionId") for each in got[half:])


def content(messages: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(each["name"], each["data"]) for each in messages]


@BOTH
async def test_what_is_published(pullse: Served, binary: bool) -> None:
    found = await played("messages", "publishing", **pullse.given, binary=binary)
    got = found["got"]
    assert [each["data"] for each in got] == ["1", "2", "3", "d", "x", "p", "q", "z"]
    assert [each.get("name") for each in got[:4]] == ["a", "b", None, "extra"]
    assert [each["serial"] for each in got[:3]] == found["several"]["serials"]
    assert got[3]["extras"] == {"headers": {"k": "v"}}
    assert got[3]["clientId"] == "ada"
    assert got[4]["id"] == "mine-1"
    assert found["first"]["serials"] == found["again"]["serials"] == [got[4]["serial"]]
    assert [each["id"] for each in got[5:7]] == ["two:0", "two:1"]
    assert len({each["id"] for each in got}) == len(got)
    assert found["tooLarge"]["code"] == 40009
    assert found["badName"]["code"] == 40010


@BOTH
async def test_echo_can_be_off(pullse: Served, binary: bool) -> None:
    found = await played("messages", "echo", **pullse.given, binary=binary)
    assert found == {"quiet": ["l"], "loud": ["q", "l"]}


@BOTH
async def test_history_is_paged(pullse: Served, binary: bool) -> None:
    found = await played("messages", "history", **pullse.given, binary=binary)
    numbers = list(range(25))
    forwards = [numbers[:10], numbers[10:20], numbers[20:]]
    backwards = [numbers[:14:-1], numbers[14:4:-1], numbers[4::-1]]
    for source in ("realtime", "rest"):
        assert found["pages"][f"{source} forwards"] == forwards
        assert found["pages"][f"{source} backwards"] == backwards
    assert found["again"] == backwards[0]
    assert found["beforeAttach"] == [24, 23]
    assert found["fromSubscribing"] == [25]
    assert found["isOlder"]


@BOTH
async def test_rewind_shows_the_last_messages_first(pullse: Served, binary: bool) -> None:
    found = await played("messages", "rewind", **pullse.given, binary=binary)
    assert found["found"] == {
        "3": [2, 3, 4, 5],
        "1": [4, 5],
        "100": [0, 1, 2, 3, 4, 5],
        "2m": [0, 1, 2, 3, 4, 5],
        "0": [5],
        "qualified": [3, 4, 5],
    }
    assert found["bad"]["code"] // 100 == 400


@BOTH
async def test_ciphers_pass_through(pullse: Served, binary: bool) -> None:
    found = await played("messages", "encrypted", **pullse.given, binary=binary)
    assert [each["data"] for each in found["got"]] == ["secret", {"a": 1}, {"bytes": "AQID"}]
    assert all("cipher+aes-256-cbc" in each["encoding"] for each in found["blind"])


async def test_a_detached_channel_is_silent(pullse: Served) -> None:
    found = await played("messages", "detaching", **pullse.given)
    assert found == {"got": [1, 3], "modes": ["publish"]}


@BOTH
async def test_the_other_calls_of_rest(pullse: Served, binary: bool) -> None:
    given = pullse.given
    found = await played("messages", "calls", **given, binary=binary)
    assert found["offBy"] < 1000
    batch = found["batch"]
    assert (batch["successCount"], batch["failureCount"]) == (1, 1)
    good, bad = batch["results"]
    assert good["channel"] == given["channel"]
    assert good["messageId"]
    assert bad["error"]["code"] == CAPABILITY
    some, none = found["batchPresence"]["results"]
    assert [each["clientId"] for each in some["presence"]] == ["ada"]
    assert none["presence"] == []
    assert found["stats"] == []
    assert found["token"]["clientId"] == "ben"
    assert found["token"]["capability"] == f'{{"{given["channel"]}":["subscribe"]}}'
    assert found["refused"]["code"] == CAPABILITY
    assert found["refused"]["status"] == 401
    status = found["status"]
    assert status["channelId"] == given["channel"]
    assert status["status"]["isActive"]
    metrics = status["status"]["occupancy"]["metrics"]
    assert metrics["connections"] == metrics["subscribers"] == metrics["presenceMembers"] == 1
    assert found["unknown"]["status"] in (401, 404)


# -- presence --


@BOTH
async def test_presence(pullse: Served, binary: bool) -> None:
    found = await played("presence", "comingAndGoing", **pullse.given, binary=binary)
    viewing = {"viewing": True}
    assert found["seen"][:2] == [["enter", "ada", viewing], ["update", "ada", "typing"]]
    assert found["seen"][2][:2] == ["enter", "ben"]
    together = {each["clientId"]: each for each in found["together"]}
    assert together["ada"]["data"] == "typing"
    assert together["ben"]["data"] == {"bytes": "cmF3"}
    assert {each["action"] for each in found["together"]} <= {"present", "enter", "update"}
    assert sorted(each[1] for each in found["lateGot"]) == ["ada", "ben"]
    assert sorted(each[:2] for each in found["lateSaw"])[:2] == [["leave", "ada"], ["leave", "ben"]]
    assert ["leave", "ada", "bye"] in found["lateSaw"]
    assert sorted(each[1] for each in found["byRest"]) == ["ada", "ben"]
    assert [each[1] for each in found["one"]] == ["ada"]
    assert found["left"] == []
    assert [each[:2] for each in found["history"]] == [
        ["enter", "ada"],
        ["update", "ada"],
        ["enter", "ben"],
        ["leave", "ada"],
        ["leave", "ben"],
    ]


async def test_hundreds_of_members(pullse: Served) -> None:
    found = await played("presence", "many", **pullse.given)
    assert found["count"] == 250
    assert [each[1] for each in found["left"]] == ["m249"]


# -- tokens --


async def test_rest_renews_an_expired_token(pullse: Served) -> None:
    found = await played("tokens", "byRest", **pullse.given)
    assert found == {"count": 2, "data": ["1", "2"]}


async def test_signed_token_requests(pullse: Served) -> None:
    found = await played("tokens", "requests", **pullse.given)
    assert found["clientId"] == "ada"
    assert found["elsewhere"]["code"] == CAPABILITY
    assert found["asOther"]["code"] == 40012
    assert found["twice"]["status"] == 401
    assert found["forged"]["status"] == 401
    assert found["failed"] == 40101
    assert found["state"] == "connected"


async def test_a_client_goes_on_with_the_rights_that_are_left(pullse: Served) -> None:
    """It leaves a private team, and is not there any more for those who stay."""
    async with pullse.api() as api:
        agent, bearer = await agent_with_token(api, "Ada")
        team = (await made(api, "/api/teams", name="Wages", is_private=True))["id"]
        membership = f"/api/teams/{team}/members/{agent}"
        assert (await api.put(membership)).is_success
        ticket = await made(api, "/api/tickets", title="A", description="a", team_id=team)
        secret = f"private:{team}:ticket:{ticket['id']}"
        given = {**pullse.given, "bearer": bearer, "secret": secret}
        async with script("tokens", "lessened", **given) as running:
            await running.tells("ready")
            path = f"/api/tickets/{ticket['id']}"
            assert (await api.patch(path, json={"status": "in_progress"})).is_success
            await made(api, "/api/tickets", title="B", description="b")
            assert (await api.delete(membership)).is_success
            await running.tells("lessened")
            key = tuple(given["key"].split(":"))
            answer = await api.get(f"/channels/{secret}/presence", auth=key)
            assert answer.json() == []
            assert (await api.patch(path, json={"status": "resolved"})).is_success
            await made(api, "/api/tickets", title="C", description="c")
            running.say("made")
            found = await running.result()
    assert found["got"]["open"] == ["ticket_created", "ticket_created"]
    assert found["got"]["secret"] == ["ticket.changed"]
    assert found["isSame"]
    assert found["code"] == found["again"]["code"] == CAPABILITY
    assert found["state"] == "connected"
    assert not [each for each in found["capability"] if each.startswith("private")]


async def test_a_client_whose_holder_is_gone_gets_nothing_more(pullse: Served) -> None:
    async with pullse.api() as api:
        agent, bearer = await agent_with_token(api, "Eve")
        async with script("tokens", "dismissed", **pullse.given, bearer=bearer) as running:
            await running.tells("ready")
            assert (await api.patch(f"/api/agents/{agent}", json={"state": "disabled"})).is_success
            await running.tells("cut")
            await made(api, "/api/tickets", title="D", description="d")
            running.say("made")
            found = await running.result()
    assert found["got"] == []
    assert found["state"] != "connected"
    assert "connected" not in [each["state"] for each in found["states"]]


async def agent_with_token(api: httpx.AsyncClient, name: str) -> tuple[str, str]:
    """The id and an API token of a new agent."""
    email = f"{name.lower()}.{uuid4().hex[:8]}@example.org"
    agent = (await made(api, "/api/agents", name=name, email=email))["id"]
    token = await made(api, "/api/tokens", name="Ably", agent_id=agent)
    return agent, token["token"]


async def made(api: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


# -- tickets --


@BOTH
async def test_ticket_changes_arrive(pullse: Served, binary: bool) -> None:
    """Made with the HTTP API, seen on three channels, in the order of the facts."""
    async with pullse.api() as api:
        answer = await api.post("/api/tickets", json={"title": "Help", "description": "Broke."})
        ticket = answer.json()["data"]
        one = f"ticket:{ticket['id']}"
        channels = ["tickets-updates", "tickets-activity", one]
        async with script(
            "tickets", "follow", **pullse.given, channels=channels, binary=binary
        ) as running:
            await running.tells("ready")
            path = f"/api/tickets/{ticket['id']}"
            for change in ({"status": "in_progress"}, {"title": "Help!"}, {"status": "resolved"}):
                assert (await api.patch(path, json=change)).status_code == 200
            assert (
                await api.post("/api/tickets", json={"title": "More", "description": "x"})
            ).status_code == 201
            running.say("counts", {"tickets-updates": 3, "tickets-activity": 4, one: 3})
            found = await running.result()
        facts = (await api.get("/api/events", params={"limit": 200})).json()["data"]["records"]
    got = found["got"]
    updates = got["tickets-updates"]
    assert [each["name"] for each in updates] == [
        "ticket_updated",
        "ticket_updated",
        "ticket_created",
    ]
    assert [each["id"] for each in got["tickets-activity"]] == [
        str(each["id"]) for each in facts[-4:]
    ]
    assert len(got[one]) == 3
    ids = [each["id"] for each in got["tickets-activity"]]
    assert [each["id"] for each in got[one]] == ids[:3]
    assert [each["id"] for each in updates] == [ids[0], ids[2], ids[3]]
    for name in channels:
        assert found["history"][name][-len(got[name]) :] == got[name]
    assert found["refused"]["code"] == CAPABILITY
    assert found["refusedByRest"]["code"] == CAPABILITY
    at = datetime.fromisoformat(facts[-1]["at"]).timestamp() * 1000
    assert abs(updates[-1]["timestamp"] - at) <= 1


# -- other clients of the same connection --


async def test_a_killed_client_is_recovered_by_another(pullse: Served) -> None:
    given = pullse.given
    async with script("continuity", "perish", **given) as first, pullse.api() as api:
        await first.tells("ready")
        await publish(api, given, 0)
        was = await first.tells("got")
        first.kill()
        for number in range(1, 6):
            await publish(api, given, number)
    found = await played("continuity", "recover", **given, recoveryKey=was["recoveryKey"])
    assert found["got"] == [1, 2, 3, 4, 5, "mine"]
    assert found["id"] == was["id"]
    assert found["key"] not in was["recoveryKey"]
    assert found["attached"][0] is True
    assert found["errorReason"] is None


async def test_a_forged_recovery_key_recovers_nothing(pullse: Served) -> None:
    forged = '{"connectionKey":"abcdefghijkl!nobody","msgSerial":3,"channelSerials":{}}'
    found = await played("continuity", "recoverNothing", **pullse.given, recoveryKey=forged)
    assert found["code"] == UNKNOWN_CONNECTION
    assert found["id"] != "abcdefghijkl"


async def test_20_cuts_at_random_moments(pullse: Served) -> None:
    await cut_at_random(pullse, 20, binary=True)


@BOTH
async def test_attaching_in_the_middle_of_many_messages(pullse: Served, binary: bool) -> None:
    """No gap and no repeat between what is shown of the past and what comes."""
    given = {**pullse.given, "binary": binary, "rounds": 20}
    found = await played("continuity", "attachInTheMiddle", **given)
    assert len(found["runs"]) == 8 * 20
    for got in found["runs"]:
        assert got == list(range(got[0], got[0] + len(got)))
    assert found["slowest"] < 1000, "twenty messages are published in 40 ms"


@BOTH
async def test_what_was_not_answered_is_published_once(pullse: Served, binary: bool) -> None:
    """The answers get lost and the connection is cut; the client resumes and sends again."""
    given = {**pullse.given, "binary": binary}
    async with (
        proxy(pullse.port) as between,
        script("continuity", "unanswered", **given, proxy=between.port) as running,
    ):
        await running.tells("ready")
        between.swallow_answers()
        running.say("go")
        await running.tells("published")
        await between.cut()
        check_once(await running.result())
