"""Administration in a real Chromium: each page fits its window, and no form needs a script."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, run
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.conftest import serving
from tests.web.browsing import browser, fill, heading, person, press
from tests.web.visiting import sign_in, visitor

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]

LONG = "W" * 200
FITS = """
    (size) => {
        document.documentElement.style.fontSize = size
        for (const each of document.querySelectorAll('main details')) each.open = true
        return document.documentElement.scrollWidth - innerWidth
    }
"""


async def fill_desk(served: Edge, database: Database) -> None:
    """Whatever there is to look after, with long words in it."""
    async with calling(served) as operator:
        for note in (LONG, "Status page"):
            answer = await operator.post("/api/realtime/keys", json={"note": note})
            assert answer.status_code == 201, answer.text
        answer = await operator.delete(f"/api/realtime/keys/{answer.json()['data']['name']}")
        assert answer.status_code == 200
        await operator.post("/api/teams", json={"name": LONG})
    await give(database, role="agent", scopes=["tickets:read", "tickets:write", "agents:read"])
    await run(database, "UPDATE api_tokens SET name = $1", LONG)
    for name, error in (("test.print", f"ValueError: {LONG}\n{LONG}"), ("test.fax", "No line")):
        await run(
            database,
            """
            INSERT INTO jobs (name, args, attempts, error, dead_at)
                 VALUES ($1, '{"to": "ada@example.org", "n": 5}', 12, $2, now())
            """,
            name,
            error,
        )
    await run(database, "INSERT INTO jobs (name, due_at) VALUES ('test.x', now() + '1 hour')")
    await run(database, "INSERT INTO readers (name, error) VALUES ('relay', $1)", LONG)


async def enter(page: "Page", url: str, path: str) -> None:
    await page.goto(url + path)
    await fill(page, email="ada@example.org", password=PASSWORD)
    await press(page, "Sign in")


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_page_of_administration_is_wider_than_its_window(
    width: int, served: Edge, database: Database, browser: "Browser"
) -> None:
    """With all that opens opened, long words, and text twice as large."""
    ada = await hire_with_password(database, "Ada", "owner")
    ben = await hire_with_password(database, "Ben")
    await fill_desk(served, database)
    far = visitor(
        served, **{"User-Agent": LONG, "address": "2001:db8:1111:2222:3333:4444:5555:6666"}
    )
    async with far as client:
        await sign_in(client, "Ben")
    async with database.session() as db:
        job = await db.value("SELECT min(id) FROM jobs")
        team = await db.value("SELECT id FROM teams")
    viewport: Any = {"width": width, "height": 800}
    async with serving(served) as url, person(browser, viewport=viewport) as page:
        await enter(page, url, "/audit")
        paths = [
            "/agents",
            f"/agents/{ada}",
            f"/agents/{ben}",
            "/teams",
            f"/teams/{team}",
            "/policies",
            "/account",
        ]
        paths += ["/account/sessions", "/account/tokens", "/services", "/services?show=agents"]
        paths += ["/services?show=ended", "/realtime", "/audit", "/jobs", f"/jobs/{job}"]
        paths += ["/jobs?state=queued", "/jobs?state=schedule", "/operations"]
        for path in paths:
            await page.goto(url + path)
            for size in ("100%", "200%"):
                wide = await page.evaluate(FITS, size)
                assert wide <= 0, (path, size, wide)


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_an_admin_looks_after_everything(
    has_scripts: bool, served: Edge, database: Database, browser: "Browser"
) -> None:
    """A dead job, a service's token, a key, the audit trail and how pullse is."""
    await hire_with_password(database, "Ada", "admin")
    await fill_desk(served, database)
    async with serving(served) as url, person(browser, java_script_enabled=has_scripts) as page:
        await enter(page, url, "/jobs")
        assert await heading(page) == "Jobs"
        await page.get_by_role("link", name="test.fax", exact=False).last.click()
        assert await heading(page) == "test.fax"
        assert await page.locator("main").get_by_text("ada@example.org").count() == 0
        gone = page.get_by_role("button", name="Delete the job for good")
        assert not await gone.is_visible()
        await page.get_by_text("Delete …").click()
        async with page.expect_navigation():
            await gone.click()
        assert await page.get_by_text("The job is deleted.").is_visible()
        await press(page, "Retry all")
        assert await page.get_by_text("Due now: 1.").is_visible()

        side = page.get_by_role("navigation", name="Menu")
        await side.get_by_role("link", name="Services", exact=True).click()
        await fill(page, name="Export")
        await page.get_by_label("Role").select_option(label="Read only")
        await press(page, "Make the token")
        token = str(await page.locator("#once").text_content())
        async with calling(served, token) as service:
            assert (await service.get("/api/me")).status_code == 200
            row = page.get_by_role("row").filter(has_text="Export")
            await row.get_by_text("Revoke …").click()
            async with page.expect_navigation():
                await row.get_by_role("button", name="Revoke for good").click()
            assert await page.get_by_text("The token is good no longer.").is_visible()
            assert (await service.get("/api/me")).status_code == 401

        await side.get_by_role("link", name="Real time", exact=True).click()
        await fill(page, note="Wall")
        await page.get_by_label("May").select_option("own")
        await press(page, "Make the key")
        assert await page.get_by_text("A JSON object of lists of operations").is_visible()
        assert await page.locator("[name=note]").input_value() == "Wall"
        await fill(page, capability='{"tickets-updates": ["subscribe"]}')
        await press(page, "Make the key")
        assert str(await page.locator("#once").text_content()).startswith("pullse.")

        await side.get_by_role("link", name="Audit trail", exact=True).click()
        first = page.locator(".trail__row").first
        assert "Real-time key made" in str(await first.text_content())
        await page.get_by_label("What").select_option(label="Job deleted")
        await press(page, "Show")
        assert await page.locator(".trail__row").count() == 1
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Take as NDJSON").click()
        file = await (await download.value).path()
        assert [json.loads(each)["name"] for each in file.read_text().splitlines()] == [
            "job.deleted"
        ]
        await press(page, "Verify")
        assert await heading(page) == "Verification"
        assert await page.get_by_text("No row was edited").is_visible()

        await side.get_by_role("link", name="Operations", exact=True).click()
        assert await page.get_by_text("delivery to the jobs").is_visible()
        assert await heading(page) == "Operations"
