"""Purging: after 30 days in the trash nothing that people wrote is left."""

import httpx

from pullse import app
from pullse.kit.db import Database
from pullse.tickets import jobs
from pullse.tickets.jobs import DAYS_IN_TRASH, PORTION, purge_trash
from tests.api.calls import Body, change, delete, facts, get, new_ticket, refused, titles


async def age(database: Database, ticket: Body, days: float) -> None:
    """As if the ticket had been deleted so long ago."""
    async with database.session() as db:
        await db.run(
            "UPDATE tickets SET deleted_at = now() - make_interval(secs => $2 * 86400)"
            " WHERE id = $1::text::uuid",
            ticket["id"],
            days,
        )


async def test_after_30_days_a_ticket_is_gone_for_good(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert DAYS_IN_TRASH == 30
    old, young, kept = [await new_ticket(client, title) for title in ("Old", "Young", "Kept")]
    await delete(client, old)
    await delete(client, young)
    await age(database, old, 30.01)
    await age(database, young, 29.99)

    await purge_trash.run(database)

    trash = (await get(client, "/api/trash/tickets"))["records"]
    assert [each["title"] for each in trash] == ["Young"]
    refused(await client.post(f"/api/tickets/{old['id']}/restore"), 404, "not_found")
    refused(await client.get(f"/api/tickets/{old['number']}"), 404, "not_found")
    assert await titles(client) == [kept["title"]]


async def test_its_facts_stay_without_what_was_written(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, "Secret title", description="Secret text")
    await change(client, ticket, title="Secret again", description="More secret", status="closed")
    other = await new_ticket(client, "Other")
    await delete(client, ticket)
    await age(database, ticket, 31)

    await purge_trash.run(database)

    told = await facts(database, ticket)
    assert [fact.name for fact in told] == [
        "ticket.created",
        "ticket.changed",
        "ticket.deleted",
        "ticket.purged",
    ]
    assert not any(word in str(told) for word in ("Secret", "secret"))
    assert all(fact.data["number"] == ticket["number"] for fact in told)
    assert told[-1].actor == "system"
    assert (await facts(database, other))[0].data["title"] == "Other"


async def test_more_than_a_portion_is_purged_in_one_go(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.session() as db:
        await db.run(
            """
            INSERT INTO tickets (id, title, description, deleted_at)
                 SELECT gen_random_uuid(), 'Help', 'It broke.', now() - interval '40 days'
                   FROM generate_series(1, $1)
            """,
            2 * PORTION + 1,
        )

    await purge_trash.run(database)

    assert (await get(client, "/api/trash/tickets"))["records"] == []
    assert len(await facts(database)) == 2 * PORTION + 1


async def test_purging_twice_is_purging_once(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    await age(database, ticket, 31)

    await purge_trash.run(database)
    await purge_trash.run(database)

    assert len(await facts(database, ticket)) == 3


def test_it_is_scheduled() -> None:
    assert [every.job for every in jobs.schedule] == [purge_trash]
    assert jobs.schedule[0] in app.schedule
    assert app.jobs["tickets.purge_trash"] is purge_trash
