"""The stand-in is what the tests of the forwarder stand on, so it is tested with the real SDK."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ably import AblyRest
from ably.types.message import Message
from ably.util.exceptions import AblyException

from tests.standins.process import KEY, Ably


@pytest.fixture
def ably(tmp_path: Path) -> Iterator[Ably]:
    with Ably(tmp_path) as stand_in:
        yield stand_in


def client(ably: Ably, key: str = KEY, *, binary: bool = False) -> AblyRest:
    return AblyRest(
        key,
        endpoint="127.0.0.1",
        port=ably.port,
        tls=False,
        use_token_auth=True,
        use_binary_protocol=binary,
    )


@pytest.mark.parametrize("binary", [False, True])
async def test_a_repeated_id_is_acknowledged_and_kept_once(ably: Ably, binary: bool) -> None:
    async with client(ably, binary=binary) as rest:
        channel = rest.channels.get("a channel")
        first = await channel.publish(Message("name", {"n": 1}, id="one"))
        again = await channel.publish(Message("name", {"n": 1}, id="one"))
        await channel.publish(Message("name", {"n": 2}, id="two"))
        await rest.channels.get("other").publish(Message("name", {"n": 3}, id="one"))
    assert first.serials == again.serials
    kept = [(each["channel"], each["id"], each["data"]) for each in ably.messages()]
    assert kept == [
        ("a channel", "one", '{"n": 1}'),
        ("a channel", "two", '{"n": 2}'),
        ("other", "one", '{"n": 3}'),
    ]
    assert ably.repeats == 1


async def test_what_was_acknowledged_outlives_kill_9(ably: Ably) -> None:
    async with client(ably) as rest:
        await rest.channels.get("a").publish(Message("name", "text", id="one"))
        ably.kill()
        ably.start()
        await rest.channels.get("a").publish(Message("name", "text", id="one"))
    assert [each["id"] for each in ably.messages()] == ["one"]


async def test_half_a_line_left_by_a_kill_is_cut_off(ably: Ably, tmp_path: Path) -> None:
    async with client(ably) as rest:
        await rest.channels.get("a").publish(Message("name", "text", id="one"))
        ably.kill()
        with (tmp_path / "ably.jsonl").open("ab") as file:
            file.write(b'{"channel": "a", "id": "tw')
        ably.start()
        await rest.channels.get("a").publish(Message("name", "text", id="three"))
    ably.kill()
    ably.start()
    assert [each["id"] for each in ably.messages()] == ["one", "three"]


async def test_wrong_keys_large_messages_and_bad_ids_are_refused(ably: Ably) -> None:
    async with client(ably, "app.key:wrong") as rest:
        with pytest.raises(AblyException) as refused:
            await rest.channels.get("a").publish("name", "text")
        assert (refused.value.status_code, refused.value.code) == (401, 40101)
    async with client(ably) as rest:
        with pytest.raises(AblyException) as refused:
            await rest.channels.get("a").publish("name", "x" * 65_536)
        assert refused.value.code == 40009
        with pytest.raises(AblyException) as refused:
            await rest.channels.get("a").publish(
                [Message("n", "", id="a"), Message("n", "", id="b")]
            )
        assert refused.value.code == 40031
    assert ably.messages() == []
