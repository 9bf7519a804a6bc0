"""Keys and the secret that they come from: where it is kept, what the database knows."""

import asyncio
import logging
import os
import re
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pullse.gateway import keys
from pullse.gateway.capability import EVERYTHING, Capability
from pullse.gateway.keys import DEV_KEY, TOKENS
from pullse.kit import secret
from pullse.kit.db import Database
from pullse.kit.secret import Secret, WrongSecret, kept_in
from pullse.settings import Settings
from tests.cli.conftest import On, Pullse, pullse, pullse_on

__all__ = ["Pullse", "pullse", "pullse_on"]

ONE, OTHER = Secret("one-secret-of-more-than-32-characters"), Secret("x" * 40, "/data/secret")
RIGHTS = Capability.parse({"a:*": ["subscribe", "publish"]})


# The secret


def test_a_keys_secret_comes_from_its_name() -> None:
    first = ONE.of_key("pullse.first")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", first)
    assert first == Secret(ONE.value, "elsewhere").of_key("pullse.first")
    assert len({first, ONE.of_key("pullse.second"), OTHER.of_key("pullse.first")}) == 3
    assert ONE.fingerprint != OTHER.fingerprint
    assert len(ONE.fingerprint) == 32


def test_it_shows_nothing_of_itself() -> None:
    assert "one-secret" not in repr(ONE)
    assert "local" not in repr(DEV_KEY)
    assert DEV_KEY.text == "pullse.dev:local-development-only"


def test_the_setting_wins(tmp_path: Path) -> None:
    given = Secret.of(Settings(secret=ONE.value, data_dir=tmp_path))
    assert given == ONE
    assert list(tmp_path.iterdir()) == []


def test_without_a_setting_it_is_a_file_of_its_owners(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    first = Secret.of(Settings(data_dir=folder))
    file = folder / "secret"
    assert first.source == str(file)
    assert len(first.value) == 43
    assert file.read_text() == first.value + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0
    assert os.listdir(folder) == ["secret"]
    assert Secret.of(Settings(data_dir=folder)) == first


def test_a_file_can_be_given_by_hand(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("  a-secret-that-came-from-a-vault-somewhere  \n\n")
    (tmp_path / "secret").symlink_to(tmp_path / "kept")
    assert Secret.of(Settings(data_dir=tmp_path)).value.startswith("a-secret-that")


def test_those_who_start_together_agree(tmp_path: Path) -> None:
    file, found = tmp_path / "secret", []
    barrier = threading.Barrier(12)

    def start() -> None:
        barrier.wait()
        found.append(kept_in(file))

    threads = [threading.Thread(target=start) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 12
    assert set(found) == {file.read_text().strip()}
    assert os.listdir(tmp_path) == ["secret"]


@pytest.mark.parametrize("content", ["", "short", "\n", "ä" * 40])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    with pytest.raises(WrongSecret, match=re.escape(str(file))) as refusal:
        Secret.of(Settings(data_dir=tmp_path))
    assert not content.strip() or content not in str(refusal.value)
    assert file.read_text() == content


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongSecret, match="Set PULLSE_SECRET instead"):
        Secret.of(Settings(data_dir=tmp_path / "file"))
    (tmp_path / "secret").mkdir()
    with pytest.raises(WrongSecret, match="Is a directory"):
        Secret.of(Settings(data_dir=tmp_path))


def test_a_failure_to_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret.os, "fsync", no)
    with pytest.raises(WrongSecret, match="No space left"):
        Secret.of(Settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "secret"
    file.write_text("y" * 40)
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Secret.of(Settings(data_dir=tmp_path))
    assert "chmod 600" in caplog.text
    assert "yyy" not in caplog.text


# The fingerprint


async def test_the_first_secret_is_the_databases(database: Database) -> None:
    async with database.session() as db:
        await keys.claim(db, ONE)
        await keys.claim(db, Secret(ONE.value, "elsewhere"))
        with pytest.raises(WrongSecret, match=r"^/data/secret is not the secret") as refusal:
            await keys.claim(db, OTHER)
        assert "pullse keys reset" in str(refusal.value)
        assert OTHER.value not in str(refusal.value)
        await keys.claim(db, ONE)


async def test_of_two_that_start_together_one_is_told(database: Database) -> None:
    async def claim(each: Secret) -> None:
        async with database.session() as db:
            await keys.claim(db, each)

    outcomes = await asyncio.gather(claim(ONE), claim(OTHER), claim(ONE), return_exceptions=True)
    assert {type(each) for each in outcomes} == {type(None), WrongSecret}


async def test_the_database_knows_no_secret(database: Database) -> None:
    async with database.session() as db:
        await keys.claim(db, ONE)
        name = await keys.create(db, RIGHTS, note="a note")
        stored = [
            str(row)
            for table in ("realtime_keys", "realtime_secret")
            for row in await db.rows(f"SELECT * FROM {table}")
        ]
    assert name in stored[0]
    for each in stored:
        assert ONE.value not in each
        assert ONE.of_key(name) not in each


# Keys


async def test_a_new_key_can_be_found(database: Database) -> None:
    async with database.session() as db:
        name = await keys.create(db, RIGHTS, note="for the wall", is_revocable=True)
        other = await keys.create(db, EVERYTHING, app="sandbox")
        found = await keys.find_many(db, [other, "pullse.nobody", name, other])
        listed = await keys.listed(db)
    assert re.fullmatch(r"pullse\.[A-Za-z0-9]{8}", name)
    assert keys.NAME.fullmatch(name)
    assert [each and (each.name, each.app) for each in found] == [
        (other, "sandbox"),
        None,
        (name, "pullse"),
        (other, "sandbox"),
    ]
    assert found[2] is not None
    assert found[2].rights == RIGHTS
    assert (found[2].is_revocable, found[2].is_revoked) == (True, False)
    assert [(each.name, each.note, each.revoked_at) for each in listed] == [
        (name, "for the wall", None)
    ]


async def test_a_key_is_revoked_once(database: Database) -> None:
    async with database.session() as db:
        name = await keys.create(db, RIGHTS)
        kept = await keys.create(db, RIGHTS)
        assert await keys.revoke(db, name)
        assert not await keys.revoke(db, name)
        assert not await keys.revoke(db, "pullse.nobody")
        assert await keys.revoked(db) == [name]
        found = await keys.find_many(db, [name, kept])
    assert [each and each.is_revoked for each in found] == [True, False]


async def test_a_reset_revokes_what_the_old_secret_made(database: Database) -> None:
    async with database.session() as db:
        await keys.claim(db, ONE)
        name = await keys.create(db, RIGHTS)
        assert await keys.reset(db, OTHER) == 1
        assert await keys.revoked(db) == [name]
        await keys.claim(db, OTHER)
        with pytest.raises(WrongSecret):
            await keys.claim(db, ONE)


async def test_names_do_not_meet_our_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys.secrets, "choice", lambda _: next(letters))
    letters = iter("aaaaaaaa" * 2 + "bbbbbbbb")
    async with database.session() as db:
        assert await keys.create(db, RIGHTS) == "pullse.aaaaaaaa"
        assert await keys.create(db, RIGHTS) == "pullse.bbbbbbbb"
    assert all(len(own.split(".")[1]) < keys.LENGTH for own in (DEV_KEY.name, TOKENS))


# Commands


Keys = Callable[..., Awaitable[str]]


@pytest.fixture
def run(pullse_on: On, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """`pullse keys …` with one of the secrets."""

    async def run(*words: str, code: int = 0, of: Secret = ONE) -> str:
        monkeypatch.setenv("PULLSE_SECRET", of.value)
        return await pullse_on("keys", *words, code=code)

    return run


async def test_a_key_is_made_and_shown_once(run: Keys) -> None:
    said = await run("create", "--capability", '{"a:*": ["subscribe"]}', "--note", "wall")
    key, sentence = said.split("\n")
    name, _, shown = key.partition(":")
    assert shown == ONE.of_key(name)
    assert '{"a:*":["subscribe"]}' in sentence

    listed = await run("list")
    assert listed.startswith(name)
    assert "wall" in listed
    assert shown not in listed

    assert "void" in await run("revoke", key)
    assert "REVOKED" in await run("list")
    assert "no key" in await run("revoke", name, code=1)


async def test_a_key_may_do_everything_unless_it_is_said(run: Keys) -> None:
    assert await run("list") == "There are no keys."
    await run("create", "--revocable")
    listed = await run("list")
    assert '{"*":["*"]}  revocable tokens' in listed


async def test_what_makes_no_sense_is_said_without_a_trace(run: Keys) -> None:
    for wrong in ("nonsense", "{}", '{"a":["fly"]}'):
        said = await run("create", "--capability", wrong, code=1)
        assert said.startswith("Error: --capability: ")


async def test_another_secret_is_told_and_can_be_taken(run: Keys) -> None:
    await run("create")
    assert "is not the secret" in await run("create", code=1, of=OTHER)
    assert "keys revoked: 1." in await run("reset", "--yes", of=OTHER)
    await run("create", of=OTHER)
    assert "is not the secret" in await run("create", code=1)
