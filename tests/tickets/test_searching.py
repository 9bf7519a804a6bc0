"""Free text: the words of title and description, as people type them into a search box."""

import httpx
import pytest

from pullse.kit.db import Database
from pullse.tickets import listing
from tests.api.calls import change, delete, new_agent, new_ticket, pages, titles

STORY = {
    "Invoice": "The invoice shows the wrong address, and the printer is quiet.",
    "Printer": "The printer prints the wrong colours.",
    "Login": "Nobody can log in since the update. Café closed.",
    "Refund": "Please refund the invoice of May.",
}


@pytest.fixture
async def story(client: httpx.AsyncClient) -> None:
    for title, description in STORY.items():
        await new_ticket(client, title, description=description)


async def found(client: httpx.AsyncClient, q: str, **params: str) -> list[str]:
    return await titles(client, q=q, sort="created", **params)


@pytest.mark.parametrize(
    ("q", "wanted"),
    [
        ("invoice", ["Invoice", "Refund"]),
        ("INVOICES", ["Invoice", "Refund"]),
        ("login", ["Login"]),
        ("wrong invoice", ["Invoice"]),
        ("  wrong   printer ", ["Invoice", "Printer"]),
        ('"wrong address"', ["Invoice"]),
        ('"address wrong"', []),
        ('"the wrong address"', ["Invoice"]),
        ("address OR colours", ["Invoice", "Printer"]),
        ("refund or login", ["Login", "Refund"]),
        ("invoice -refund", ["Invoice"]),
        ('wrong -"wrong address"', ["Printer"]),
        ("café", ["Login"]),
        ("unheard", []),
    ],
)
@pytest.mark.usefixtures("story")
async def test_words_are_found(client: httpx.AsyncClient, q: str, wanted: list[str]) -> None:
    assert await found(client, q) == wanted


@pytest.mark.usefixtures("story")
async def test_words_that_say_nothing_find_nothing(client: httpx.AsyncClient) -> None:
    for q in ("the", "the and of", " ", "-", '"', '""', "...", "\t", "🎟"):
        assert await found(client, q) == []


@pytest.mark.usefixtures("story")
async def test_no_text_is_an_error(client: httpx.AsyncClient) -> None:
    odd = ["'", "\\", "a:*", "a & !", "(((", "a <-> b", '"open', "%", ":", "a'b", "-" * 300]
    long = ["(" * 300, "-(" * 150, "-<- " * 75, "-!a" * 100, '" ' * 150, "a OR " * 60]
    for q in [*odd, *long, "- - OR", "\u202e", "\x01"]:
        assert (await client.get("/api/tickets", params={"q": q})).status_code == 200


@pytest.mark.parametrize("common", [listing.COMMON, -1], ids=["sorted", "walked"])
@pytest.mark.usefixtures("story")
async def test_words_go_with_filters_and_orders(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, common: int
) -> None:
    """Also where so many tickets have them that they are looked for in the order."""
    monkeypatch.setattr(listing, "COMMON", common)
    monkeypatch.setattr(listing, "SHARE", -1)
    ada = await new_agent(client)
    mine = await new_ticket(client, "Another invoice", status="closed", priority="urgent")
    await change(client, mine, assigned_to=ada["id"])

    assert await found(client, "invoice", status="closed,resolved") == ["Another invoice"]
    assert await found(client, "invoice", priority="low") == ["Invoice", "Refund"]
    assert await found(client, "invoice", assigned_to=f"{ada['id']}") == ["Another invoice"]
    assert await found(client, "invoice", assigned_to="none") == ["Invoice", "Refund"]
    both = f"none,{ada['id']}"
    assert len(await found(client, "invoice", assigned_to=both)) == 3
    assert await found(client, "invoice", created_after=mine["created_at"]) == ["Another invoice"]
    for order, wanted in {
        "-created": ["Another invoice", "Refund", "Invoice"],
        "-updated": ["Another invoice", "Refund", "Invoice"],
        "updated": ["Invoice", "Refund", "Another invoice"],
        "-priority": ["Another invoice", "Refund", "Invoice"],
        "priority": ["Invoice", "Refund", "Another invoice"],
    }.items():
        assert await titles(client, q="invoice", sort=order) == wanted
        split = [page async for page in pages(client, q="invoice", sort=order, limit=1)]
        assert [page[0]["title"] for page in split] == wanted
        for filters in ({"assigned_to": both}, {"team_id": "none"}, {"status": "open,closed"}):
            assert await titles(client, q="invoice", sort=order, **filters) == wanted


async def test_words_of_many_tickets_are_told_from_those_of_few(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COMMON", 20)
    async with database.session() as db:
        await db.run(
            """
            INSERT INTO tickets (id, title, description)
                 SELECT gen_random_uuid(), CASE WHEN n <= 500 THEN 'printer' ELSE 'other' END,
                        CASE n % 60 WHEN 0 THEN 'paper' WHEN 1 THEN 'zebra_crossing' ELSE '-' END
                   FROM generate_series(1, 1000) AS n
            """
        )
        await db.run("ANALYZE tickets")
        assert await listing.are_common(db, "printers")
        assert await listing.are_common(db, "printer OR --paper")
        for few in ("paper", "zebra/crossing", "printer paper", "unheard", "", "-"):
            assert not await listing.are_common(db, few)
        monkeypatch.setattr(listing, "SHARE", 0.6)
        assert not await listing.are_common(db, "printer")


@pytest.mark.usefixtures("story")
async def test_changed_text_is_found_at_once_and_the_old_no_more(
    client: httpx.AsyncClient,
) -> None:
    ticket = await new_ticket(client, "Zebra")
    assert await found(client, "zebra") == ["Zebra"]

    await change(client, ticket, title="Giraffe", description="It is tall.")

    assert await found(client, "zebra") == []
    assert await found(client, "tall giraffe") == ["Giraffe"]


@pytest.mark.usefixtures("story")
async def test_what_is_in_the_trash_is_not_found(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client, "Zebra")
    await delete(client, ticket)

    assert await found(client, "zebra") == []


@pytest.mark.parametrize(
    "q",
    [
        "ben_li@example.org",
        "ben_li",
        "example.org",
        "https://docs.example.org/manual/first_page?lang=en",
        "manual/first_page",
        "/usr/lib/printer.conf",
        "printer.conf",
        '"in /usr/lib"',
        "x-ray",
    ],
)
async def test_parts_of_addresses_and_paths_are_found(client: httpx.AsyncClient, q: str) -> None:
    text = (
        "Mail ben_li@example.org, see https://docs.example.org/manual/first_page?lang=en, "
        "the x-ray is in /usr/lib/printer.conf."
    )
    await new_ticket(client, "Addresses", description=text)
    await new_ticket(client, "Other", description="Something else.")

    assert await found(client, q) == ["Addresses"]


async def test_a_minus_leaves_a_whole_address_out(client: httpx.AsyncClient) -> None:
    await new_ticket(client, "Ben's", description="Mail ben@example.org.")
    await new_ticket(client, "Ada's", description="Mail ada@example.org.")

    assert await found(client, "mail -ben@example.org") == ["Ada's"]
    assert await found(client, "mail --ben@example.org") == ["Ada's"]


HARD = {
    "hyphens": "a-" * 50_000,
    "hyphenated words": f"{chr(0x10400)}-{chr(0x10401)} " * 25_000,
    "other words": "".join(f"{chr(0x4E00 + n % 20_000)}{n} " for n in range(100_000))[:100_000],
    "letters apart": "".join(f"{chr(0x10400 + n % 40)}{chr(0x20000 + n)} " for n in range(33_333)),
    "one word": "x" * 100_000,
    "one wide word": "語" * 100_000,
    "addresses": "a.de/b/" * 14_285,
    "many addresses": "".join(f"{n}.de/{n} " for n in range(20_000))[:100_000],
    "slashes": "/a" * 50_000,
    "dots": "a." * 50_000,
    "at signs": "a@" * 50_000,
    "signs and digits": "a@1" * 33_333,
    "paths": "/." * 50_000,
    "homes": "~/" * 50_000,
    "underscores": "a_" * 50_000,
    "tags": "<a " * 33_333,
    "entities": "&a;" * 33_333,
    "digits": "1" * 100_000,
    "signs": "-1.e+" * 20_000,
    "marks": "a\u0301" * 50_000,
}


@pytest.mark.parametrize("kind", HARD)
async def test_text_that_is_hard_to_index_is_taken(client: httpx.AsyncClient, kind: str) -> None:
    body = {"title": "Zebra", "description": HARD[kind]}

    answer = await client.post("/api/tickets", json=body)

    assert answer.status_code == 201
    assert await found(client, "zebra") == ["Zebra"]
