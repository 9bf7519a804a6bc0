"""What a token looks like, what of it is kept, and the rules about who makes which."""

import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pullse.access import commands, tokens
from pullse.access import token_queries as queries
from pullse.access.model import NewToken, Rotation
from pullse.access.secrets import ALPHABET, base62, hashed, is_well_formed, new_token
from pullse.access.tokens import Caller
from pullse.agents.permissions import PERMISSIONS, ROLES, rights_of
from pullse.errors import Conflict, Forbidden, Invalid, NotFound, Refusal
from pullse.kit.db import Database
from pullse.kit.events import Actor
from tests.access.people import OWNER, give, hire, made
from tests.api.calls import facts
from tests.cli.conftest import On, Pullse, pullse, pullse_on

__all__ = ["pullse", "pullse_on"]


# -- the text --


def test_a_token_is_its_prefix_256_random_bits_and_their_checksum() -> None:
    given = {new_token() for _ in range(200)}
    assert len(given) == 200
    for token in given:
        assert re.fullmatch(r"pullse_[0-9A-Za-z]{49}", token)
        assert token[-6:] == base62(zlib.crc32(token[7:-6].encode()), 6)
        assert is_well_formed(token)
    assert {letter for token in given for letter in token[8:-6]} == set(ALPHABET)
    assert base62((1 << 256) - 1, 44)[0] == "0"
    assert base62((1 << 32) - 1, 7)[0] == "0"


def test_what_was_mistyped_is_no_token() -> None:
    token = new_token()
    assert not is_well_formed("")
    assert not is_well_formed(token.removeprefix("pullse_"))
    assert not is_well_formed(token.upper())
    assert not is_well_formed(token + "\n")
    assert not is_well_formed(token.replace("pullse_", "pullse-"))
    for place in range(7, len(token)):
        other = "1" if token[place] != "1" else "2"
        assert not is_well_formed(token[:place] + other + token[place + 1 :])
        assert not is_well_formed(token[:place] + token[place + 1 :])


# -- what is kept --


async def test_only_the_hash_is_kept_and_facts_have_neither(database: Database) -> None:
    ada = await hire(database, "Ada")
    one = await made(database, NewToken("Export", ["tickets:read"], ada))
    async with database.transaction() as db:
        two = await tokens.rotate(db, id_of(one), Rotation(), by=OWNER)
        await tokens.revoke(db, id_of(two), by=OWNER.actor)

    async with database.session() as db:
        hashes = {row[0] for row in await db.rows("SELECT hash FROM api_tokens")}
        kept = ""
        for table in ("api_tokens", "events", "audit", "idempotency_keys", "jobs"):
            for (row,) in await db.rows(f"SELECT row_to_json(t)::text FROM {table} AS t"):
                kept += row if table != "api_tokens" else ""
                assert one.token not in row
                assert two.token not in row
    assert hashes == {hashed(one.token), hashed(two.token)}
    assert not any(hash_.hex() in kept for hash_ in hashes)
    data = {
        "token_id": str(id_of(one)),
        "name": "Export",
        "agent_id": str(ada),
        "role": None,
        "scopes": ["tickets:read"],
    }
    recorded = [each for each in await facts(database) if each.name.startswith("token.")]
    assert [each.name for each in recorded] == ["token.created", "token.rotated", "token.revoked"]
    assert recorded[0].data == data
    assert recorded[1].data.pop("until")
    assert recorded[1].data == {**data, "new_token_id": str(id_of(two))}
    assert recorded[2].data == {**data, "token_id": str(id_of(two))}


async def test_it_is_audited(database: Database) -> None:
    one = await made(database, NewToken("Export", role="agent"))
    async with database.transaction() as db:
        await tokens.revoke(db, id_of(one), by=OWNER.actor)
    async with database.session() as db:
        rows = await db.rows("SELECT name, actor FROM audit ORDER BY day, number")
    assert [tuple(row) for row in rows] == [("token.created", "owner"), ("token.revoked", "owner")]


# -- who makes which --


async def caller(database: Database, token: str) -> Caller:
    """Who has this token, as the guard lets them in."""
    async with database.session() as db:
        (good,) = await queries.find_many(db, [hashed(token)])
        assert good is not None
        id_ = f"agent:{good.agent_id}" if good.agent_id else f"token:{good.id}"
        actor = Actor(id_, rights=rights_of(good.role, good.scopes))
        return await tokens.caller_of(db, actor, token)


async def refusal(database: Database, new: NewToken, by: Caller) -> Refusal:
    with pytest.raises(Refusal) as refused:
        async with database.transaction() as db:
            await tokens.create(db, new, by=by)
    return refused.value


def id_of(made: tokens.Made) -> Any:
    return re.search(r'"id":"([^"]*)"', made.body)[1]  # type: ignore[index]


async def test_nobody_makes_a_token_that_may_more_than_they(database: Database) -> None:
    """Each role with each pair of roles, and scopes, compared with the table."""
    agents = {role: await hire(database, role.replace("_", ""), role) for role in ROLES}
    for maker in ROLES:
        by = await caller(database, await give(database, agents[maker]))
        for wanted in ROLES:
            for new in (
                NewToken("x", [], agents[wanted]),
                NewToken("x", [], None, wanted),  # type: ignore[arg-type]
            ):
                is_own = new.agent_id == agents[maker]
                may = is_own or (
                    "tokens:admin" in ROLES[maker]
                    and ROLES[wanted] <= ROLES[maker]
                    and (wanted != "owner" or maker == "owner")
                )
                if may:
                    async with database.transaction() as db:
                        one = await tokens.create(db, new, by=by)
                    assert (await caller(database, one.token)).rights == ROLES[wanted]
                else:
                    assert isinstance(await refusal(database, new, by), Forbidden)


async def test_a_token_with_scopes_makes_none_with_more(database: Database) -> None:
    ada = await hire(database, "Ada", "admin")
    scopes = ["tickets:read", "tokens:own"]
    by = await caller(database, await give(database, ada, scopes=scopes))
    for more in (["tickets:write"], ["tokens:own", "tokens:admin"], list(PERMISSIONS)):
        assert isinstance(await refusal(database, NewToken("x", more), by), Forbidden)
    assert isinstance(await refusal(database, NewToken("x", role="read_only"), by), Forbidden)  # type: ignore[arg-type]

    async with database.transaction() as db:
        one = await tokens.create(db, NewToken("x"), by=by)

    assert list((await caller(database, one.token)).scopes) == scopes


async def test_a_token_with_scopes_does_not_rotate_one_with_more(database: Database) -> None:
    ada = await hire(database, "Ada")
    whole = await made(database, NewToken("x", [], ada))
    every = await caller(database, await give(database, ada, scopes=sorted(ROLES["agent"])))
    some = await caller(database, await give(database, ada, scopes=["tokens:own"]))
    for by in (every, some):
        with pytest.raises(Forbidden):
            async with database.transaction() as db:
                await tokens.rotate(db, id_of(whole), Rotation(), by=by)


async def test_an_admin_does_not_rotate_an_owners(database: Database) -> None:
    owner, admin = await hire(database, "Ada", "owner"), await hire(database, "Ben", "admin")
    theirs = await made(database, NewToken("x", ["me:read"], owner))
    by = await caller(database, await give(database, admin))
    with pytest.raises(Forbidden):
        async with database.transaction() as db:
            await tokens.rotate(db, id_of(theirs), Rotation(), by=by)


async def test_who_has_lost_it_a_moment_ago_makes_no_other(database: Database) -> None:
    ada = await hire(database, "Ada")
    token = await give(database, ada)
    actor = (await caller(database, token)).actor
    async with database.session() as db:
        await db.run("UPDATE api_tokens SET revoked_at = now()")
        with pytest.raises(Forbidden):
            await tokens.caller_of(db, actor, token)


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewToken("x", ["tickets:fly"], None, "agent"), "scopes"),  # type: ignore[arg-type]
        (NewToken("x", ["agents:admin"], None, "agent"), "scopes"),  # type: ignore[arg-type]
        (NewToken("x"), "agent_id"),
        (NewToken("x", [], "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70"), "agent_id"),  # type: ignore[arg-type]
        (NewToken("x", [], None, "agent", datetime.now(UTC)), "expires_at"),  # type: ignore[arg-type]
        (NewToken("x", [], None, "agent", datetime.max.replace(tzinfo=UTC)), "expires_at"),  # type: ignore[arg-type]
        (NewToken("x", [], None, "agent", datetime.min.replace(tzinfo=UTC)), "expires_at"),  # type: ignore[arg-type]
    ],
)
async def test_what_makes_no_sense_names_its_field(
    database: Database, new: NewToken, field: str
) -> None:
    error = await refusal(database, new, OWNER)
    assert isinstance(error, Invalid)
    assert set(error.problems) == {field}


async def test_a_disabled_agent_gets_none(database: Database) -> None:
    ada = await hire(database, "Ada")
    async with database.session() as db:
        await db.run("UPDATE agents SET state = 'disabled'")
    assert (await refusal(database, NewToken("x", [], ada), OWNER)).problems["agent_id"]
    both = NewToken("x", [], ada, "agent")  # type: ignore[arg-type]
    assert (await refusal(database, both, OWNER)).problems["role"]


# -- rotation --


async def test_a_rotated_token_has_the_life_of_the_old_one_again(database: Database) -> None:
    until = datetime.now(UTC) + timedelta(days=30)
    old = await made(database, NewToken("x", role="agent", expires_at=until))  # type: ignore[arg-type]
    async with database.session() as db:
        await db.run("UPDATE api_tokens SET created_at = created_at - interval '20 days'")
    async with database.transaction() as db:
        new = await tokens.rotate(db, id_of(old), Rotation(overlap=60), by=OWNER)
    async with database.session() as db:
        left = "SELECT extract(epoch FROM expires_at - now())::float8 FROM api_tokens WHERE id = $1"
        assert 55 < await db.value(left, id_of(old)) <= 60
        assert abs(await db.value(left, id_of(new)) - 50 * 86400) < 60


async def test_an_overlap_makes_no_life_longer(database: Database) -> None:
    until = datetime.now(UTC) + timedelta(seconds=20)
    old = await made(database, NewToken("x", role="agent", expires_at=until))  # type: ignore[arg-type]
    async with database.transaction() as db:
        await tokens.rotate(db, id_of(old), Rotation(overlap=600), by=OWNER)
    async with database.session() as db:
        assert await db.value("SELECT min(expires_at) FROM api_tokens") == until


async def test_of_two_rotations_the_later_is_refused_whichever_began_first(
    database: Database,
) -> None:
    old = await made(database, NewToken("x", role="agent"))  # type: ignore[arg-type]
    async with database.transaction() as second:
        async with database.transaction() as first:
            await tokens.rotate(first, id_of(old), Rotation(), by=OWNER)
        with pytest.raises(Conflict):
            await tokens.rotate(second, id_of(old), Rotation(), by=OWNER)
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM api_tokens") == 2


async def test_revoking_twice_is_revoking_once(database: Database) -> None:
    one = await made(database, NewToken("x", role="agent"))  # type: ignore[arg-type]
    for _ in range(2):
        async with database.transaction() as db:
            await tokens.revoke(db, id_of(one), by=OWNER.actor)
    assert [each.name for each in await facts(database)] == ["token.created", "token.revoked"]
    with pytest.raises(NotFound):
        async with database.transaction() as db:
            await tokens.revoke(db, "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70", by=OWNER.actor)  # type: ignore[arg-type]


# -- the commands --


def test_roles_shows_the_table(pullse: Pullse) -> None:
    head, *lines = pullse("roles").output.splitlines()
    assert head.split() == list(ROLES)
    for line, permission in zip(lines, PERMISSIONS, strict=True):
        name, *cells = line.split()
        assert name == permission
        assert [cell == "yes" for cell in cells] == [permission in ROLES[each] for each in ROLES]


async def test_the_operator_makes_shows_and_revokes_tokens(
    pullse_on: On, database: Database
) -> None:
    await hire(database, "Ada")
    said = await pullse_on(
        *("tokens", "create", "Export", "--agent", "ADA@example.org", "--scope", "tickets:read"),
        *("--scope", "me:read", "--days", "30"),
    )
    token = said.splitlines()[0]
    assert is_well_formed(token)
    assert (await caller(database, token)).rights == {"tickets:read", "me:read"}
    service = (await pullse_on("tokens", "create", "Robot", "--role", "admin")).splitlines()[0]
    assert (await caller(database, service)).rights == ROLES["admin"]

    first, second = (await pullse_on("tokens", "list")).splitlines()

    assert "ada@example.org  me:read,tickets:read  until" in first
    assert "admin  all of the role" in second
    assert second.endswith("Robot")
    assert "is void" in await pullse_on("tokens", "revoke", second.split()[0])
    assert "REVOKED" in (await pullse_on("tokens", "list")).splitlines()[1]
    assert {each.actor for each in await facts(database)} == {"operator"}


async def test_the_operator_is_told_what_is_wrong(pullse_on: On, database: Database) -> None:
    await hire(database, "Ada")
    for words, said in (
        (("create", "x"), "Say whose it is"),
        (("create", "x", "--role", "agent", "--agent", "ada@example.org"), "Say whose it is"),
        (("create", "x", "--agent", "eve@example.org"), "There is no agent eve"),
        (("create", " ", "--role", "agent"), "NAME"),
        (("create", "x", "--role", "agent", "--scope", "audit:read"), "does not have audit:read"),
        (("revoke", "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70"), "There is no such token"),
        (("revoke", "x"), "not a valid UUID"),
    ):
        assert said in await pullse_on("tokens", *words, code=None)
    assert commands.table()
