"""A short day in Firefox: whatever else is tested in a browser is tested in Chromium."""

from pathlib import Path

from pullse.kit.db import Database
from tests.access.sign_in import PASSWORD
from tests.clients.firefox import Firefox, firefox
from tests.desk.day import open_shop
from tests.desk.live import Port, process

FOCUS = "document.activeElement.id"
LIVE = "document.documentElement.dataset.feed"
STICKING_OUT = """[...document.querySelectorAll('.tickets td:not([data-column=title]) span')]
    .filter(part => part.getBoundingClientRect().right
        > part.closest('td').getBoundingClientRect().right).length"""
STATUS = "document.querySelector('#t35 [data-status]').dataset.status"
CHOSEN = "document.querySelector('palette-list [aria-selected=true]')?.textContent.trim()"
SHOWN = "[...document.querySelectorAll('#editor-shown strong')].at(-1)?.textContent"
WRITTEN = "[...document.querySelectorAll('#ticket-text .prose strong')].at(-1)?.textContent"


async def test_a_short_day(database: Database, tmp_path: Path) -> None:
    await open_shop(database)
    port = Port()
    async with process(database, port) as operator, firefox(tmp_path) as ada:
        await come_in(ada, port.url)
        await ada.until(LIVE, "live")
        await ada.until("document.querySelectorAll('[data-status=in_progress]').length > 0")
        assert await ada.asked(STICKING_OUT) == 0

        # A list, in which a status is changed by keys and taken back.
        await ada.goto(f"{port.url}/tickets?q=frame+readable")
        await ada.until(LIVE, "live")
        await ada.until(STATUS, "open")
        await ada.keys("j", "s")
        await ada.until("document.activeElement.value", "open")
        await ada.keys("ArrowDown", "Enter")
        await ada.until(STATUS, "in_progress")
        await ada.until("document.querySelector('.toast')?.textContent.includes('1 ticket')")
        await ada.keys("u")
        await ada.until(STATUS, "open")

        # Elsewhere by the palette.
        await ada.keys("Control+k")
        await ada.until("document.activeElement.matches('[role=combobox]')")
        await ada.type_("insig")
        await ada.until(f"{CHOSEN}.startsWith('Insight')")
        await ada.keys("Enter")
        await ada.until("location.pathname", "/insight")

        # A description with a look at it; the strip of tabs is one stop of the keyboard.
        await ada.goto(f"{port.url}/tickets/40")
        await ada.until(LIVE, "live")
        await ada.keys("e")
        await ada.until(FOCUS, "description")
        await ada.keys("Control+End", "Enter", "Enter")
        await ada.type_("**Called at nine:** nothing.")
        await ada.keys("Shift+Tab")
        await ada.until(FOCUS, "editor-write")
        await ada.keys("Shift+Tab")
        await ada.until(FOCUS, "title")
        await ada.keys("Tab")
        await ada.until(FOCUS, "editor-write")
        await ada.keys("ArrowRight")
        await ada.until(SHOWN, "Called at nine:")
        await ada.keys("ArrowLeft", "Tab", "Control+Enter")
        await ada.until(WRITTEN, "Called at nine:")

        # What somebody else does is there by itself.
        given = {"title": "Payment page turns and turns"}
        assert (await operator.patch("/api/tickets/40", json=given)).status_code == 200
        await ada.until("document.querySelector('h1').textContent.trim()", given["title"])
        assert ada.complaints == []


async def come_in(ada: Firefox, url: str) -> None:
    await ada.goto(f"{url}/sign-in")
    await ada.type_("ada@example.org")
    await ada.keys("Tab")
    await ada.type_(PASSWORD)
    await ada.keys("Enter")
    await ada.until("location.pathname", "/")
