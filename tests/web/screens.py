"""What `bin/screens` does: a desk of its own with the demo story, and pictures of all pages."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from playwright.async_api import async_playwright

from pullse import app
from tests.access.sign_in import PASSWORD
from tests.clients.browser import QUIET

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "screens"
PULLSE = str(Path(sys.executable).with_name("pullse"))
ADA = "ada@example.org"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2},
}
README = {
    "list": "/tickets?status=open&status=in_progress",
    "ticket": "/tickets/26",
    "insight": "/insight",
}
"""The motor that cuts out has a description in Markdown, and a history."""
PARTS = {"ticket": "/tickets", "agent": "/agents", "team": "/teams"}
"""On which page there is a link to one."""


async def main(asked: list[str]) -> None:
    is_for_readme = "--readme" in asked
    wanted = [each for each in asked if each != "--readme"]
    with running() as (url, environment):
        async with signed_in(url, environment) as (browser, state):
            if is_for_readme:
                folder, looks = ROOT / "docs" / "screens", {"light": LOOKS["light"]}
            else:
                folder, looks = FOLDER, LOOKS
            folder.mkdir(exist_ok=True)
            for look, options in looks.items():
                context = await browser.new_context(storage_state=state, **options)
                page = await context.new_page()
                names = README if is_for_readme else named(wanted)
                for name, path in names.items():
                    if found := await filled(page, url, path):
                        suffix = "" if is_for_readme else f"-{look}"
                        await take(page, url + found, folder / f"{name}{suffix}.png")
                await context.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")  # noqa: T201 (it is a command)


def named(wanted: list[str]) -> dict[str, str]:
    """Pages by what their pictures are called; without braces that nothing is known for."""
    paths = wanted or [
        page.path
        for page in app.pages
        if page.method == "GET"
        and not page.path.startswith("/assets")
        and set(re.findall(r"{(\w+)}", page.path)) <= set(PARTS)
    ]
    return {re.sub(r"\W+", "-", path).strip("-") or "start": path for path in paths}


async def filled(page: "Page", url: str, path: str) -> str | None:
    """With the first that the page above links to."""
    for part in re.findall(r"{(\w+)}", path):
        above = PARTS[part]
        await page.goto(url + above)
        links = await page.locator(f"main a[href^='{above}/']").evaluate_all(
            "all => all.map((each) => each.pathname)"
        )
        one = re.compile(rf"{above}/(?!new$)[\w-]+")
        found = next((each for each in links if one.fullmatch(each)), None)
        if found is None:
            return None
        path = path.replace(f"{{{part}}}", found.rpartition("/")[2])
    return path


async def take(page: "Page", address: str, file: Path) -> None:
    """Nothing of one that leads elsewhere, or shows no page."""
    answer = await page.goto(address)
    if answer is None or not answer.ok or page.url.partition("?")[0] != address.partition("?")[0]:
        return
    if answer.headers.get("content-type", "").startswith("text/html"):
        await page.wait_for_timeout(400)
        await page.screenshot(path=file, full_page=file.stem.endswith("-phone"))


@contextmanager
def running() -> Iterator[tuple[str, dict[str, str]]]:
    """`pullse dev` with the story, on a port and in a folder of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    folder = tempfile.mkdtemp(prefix="pullse-screens-")
    os.chmod(folder, 0o755)  # PostgreSQL is another user where root starts it
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULLSE_")}
    kept.pop("DATABASE_URL", None)
    environment = kept | {"PORT": port, "PULLSE_DATA_DIR": folder}
    process = subprocess.Popen(
        [PULLSE, "dev", "--demo"], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health/ready", process)
        yield f"http://127.0.0.1:{port}", environment
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        if process.poll() is not None:
            sys.exit("bin/screens: pullse dev ended by itself")
        try:
            if httpx.get(address, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    sys.exit("bin/screens: pullse dev did not come up")


@asynccontextmanager
async def signed_in(url: str, environment: dict[str, str]) -> AsyncIterator[tuple["Browser", Any]]:
    """As Ada of the story, who may see everything."""
    said(environment, "agents", "role", ADA, "owner")
    link = re.search(r"/links/\S+", said(environment, "agents", "reset", ADA))
    assert link, "no link to a password"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("bin/screens: chromium is not there. On Debian: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = await (await browser.new_context()).new_page()
        await page.goto(url + link[0])
        await page.locator("[name=password]").fill(PASSWORD)
        await page.locator("[name=repeated]").fill(PASSWORD)
        await page.locator("main form button").first.click()
        await page.locator("[name=email]").fill(ADA)
        await page.locator("[name=password]").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await page.wait_for_url(f"{url}/")
        yield browser, await page.context.storage_state()
        await browser.close()


def said(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [PULLSE, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"bin/screens: pullse {' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
