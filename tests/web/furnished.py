"""Every page there is, with something on each: the demo story, and its Ada as an owner."""

import re
from typing import TYPE_CHECKING

from pullse import app, demo
from pullse.access import passwords, sign_in_queries
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.pages import HTML
from pullse.reports import counting, insight, insight_queries
from tests.access.people import run
from tests.access.sign_in import PASSWORD
from tests.web.visiting import sign_in, visitor

if TYPE_CHECKING:
    from playwright.async_api import Page

DOOR = {"/sign-in", "/sign-in/code"}
"""Open to all, and looked at from outside."""
PARTS = {
    "ticket": "SELECT number::text FROM tickets WHERE deleted_at IS NULL ORDER BY number LIMIT 1",
    "agent": "SELECT id::text FROM agents WHERE email <> 'ada@example.org' ORDER BY id LIMIT 1",
    "team": "SELECT id::text FROM teams ORDER BY is_private DESC, id LIMIT 1",
    "job": "SELECT id::text FROM jobs WHERE dead_at IS NOT NULL",
    "token": "SELECT 'nothing'",
    "file": "SELECT 'flow.csv'",
}
"""What stands in the braces of a page's path. A new kind of page says here what it needs."""

LEFT_OUT = {"/tickets/{ticket}/facts/{fact}", "/insight/{file}"}
"""They lead elsewhere, or are no pages."""


async def furnish(database: Database) -> None:
    assert await demo.load(database)
    hash_ = await passwords.hashed(PASSWORD)
    async with database.transaction() as db:
        ada = await db.value("SELECT id FROM agents WHERE email = 'ada@example.org'")
        await sign_in_queries.set_password(db, ada, hash_)
        await db.run("UPDATE agents SET state = 'active', role = 'owner' WHERE id = $1", ada)
    await run(
        database,
        """
        INSERT INTO jobs (name, args, attempts, error, dead_at, due_at)
             VALUES ('email.send_reply', '{}', 25, 'ConnectionError: refused', now(), now())
        """,
    )
    await counted(database)


async def counted(database: Database) -> None:
    """As the readers of facts do in the background."""
    await counting.fill(database)
    async with database.session() as db:
        await insight_queries.begin(db)
    while await insight.step(database):
        pass


async def paths(edge: Edge, database: Database) -> list[str]:
    """Of all pages that show something themselves; outside ones first."""
    found = []
    async with visitor(edge) as client:
        await sign_in(client)
        for page in app.pages:
            if page.method == "GET" and not page.path.startswith("/assets"):
                path = await filled(database, page.path)
                answer = await client.get(path)
                kind = answer.headers.get("content-type", "")
                assert "{" not in path or page.path in LEFT_OUT or answer.status_code == 303, path
                if answer.status_code == 200 and kind.startswith(HTML):
                    found.append(path)
    return sorted(found, key=lambda path: path not in DOOR)


async def filled(database: Database, path: str) -> str:
    async with database.session() as db:
        for part in re.findall(r"{(\w+)}", path):
            if part in PARTS:
                path = path.replace(f"{{{part}}}", await db.value(PARTS[part]))
    return path


async def enter(page: "Page", url: str) -> None:
    await page.goto(f"{url}/sign-in")
    await page.locator("[name=email]").fill("ada@example.org")
    await page.locator("[name=password]").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url(f"{url}/")
