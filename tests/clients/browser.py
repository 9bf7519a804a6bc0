"""Chromium with ably-js's own build for browsers, on a page that this test serves."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from tests.clients.javascript import FOLDER, MODULES, unable

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

HTML = b"<!doctype html><meta charset=utf-8><title>A page</title>\
<script src=/ably.js></script><script src=/page.js></script>"
FILES = {
    "/ably.js": MODULES / "ably" / "build" / "ably.min.js",
    "/page.js": FOLDER / "js" / "page.js",
}
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Pages(BaseHTTPRequestHandler):
    """One page and its two scripts."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = HTML if path == "/" else FILES[path].read_bytes() if path in FILES else b""
        self.send_response(200 if body else 404)
        self.send_header("content-type", "text/html" if path == "/" else "text/javascript")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody asked."""


@contextmanager
def pages() -> Iterator[int]:
    """The port that the page is at: another origin than pullse's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def chromium() -> AsyncIterator["Browser"]:
    """Debian's; whatever it might ask of the internet is switched off."""
    path = shutil.which("chromium")
    if path is None:
        unable("chromium is not there. On Debian: apt-get install chromium")
    try:
        from playwright.async_api import async_playwright  # noqa: PLC0415 (53 MB: on demand)
    except ImportError:
        unable("playwright is not there: bin/test sets it up")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page(browser: "Browser", port: int, host: str = "127.0.0.1") -> AsyncIterator["Page"]:
    context = await browser.new_context()
    try:
        opened = await context.new_page()
        await opened.goto(f"http://{host}:{port}/")
        yield opened
    finally:
        await context.close()
