"""The documents are true: names are there, links lead somewhere, examples really answer so."""

import asyncio
import re
import shutil
from pathlib import Path

import httpx
import pytest

from pullse import app, cli, providers, settings
from pullse.access import audit
from pullse.realtime import feed

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def text(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", settings.NAMES)
def test_a_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/settings.md")


@pytest.mark.parametrize("part", providers.PARTS)
def test_a_setting_of_each_provider_is_documented(part: str) -> None:
    assert f"`PULLSE_OIDC_<NAME>_{part}`" in text("docs/settings.md")


@pytest.mark.parametrize("call", app.calls, ids=lambda call: call.name)
def test_a_call_is_documented(call: app.Call) -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs/api").glob("*.md"))
    by_nouns = f"`{call.method} {call.path}"
    assert by_nouns in pages


@pytest.mark.parametrize("page", app.pages, ids=lambda page: page.name)
def test_a_page_is_documented(page: app.Call) -> None:
    """Or that above it, on which its form stands."""
    shown = text("docs/pages.md")
    paths = page.path.split("/")
    above = ["/".join(paths[:depth]) for depth in range(2, len(paths) + 1)]
    assert any(f"`{path}`" in shown for path in above)


@pytest.mark.parametrize("name", feed.NAMES)
def test_a_fact_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/api/events.md")


@pytest.mark.parametrize("name", audit.NAMES)
def test_what_is_audited_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/api/audit.md")


@pytest.mark.parametrize("name", [n for n, c in cli.main.commands.items() if not c.hidden])
def test_a_command_is_documented(name: str) -> None:
    assert f"`pullse {name}" in text("docs/cli.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", ["docs/asvs.md", "docs/security.md"])
def test_what_is_named_to_show_it_is_a_test(page: str) -> None:
    named = TEST.findall(text(page))
    assert len(named) > 20
    missing = [f"{file}::{name}" for file, name in named if not is_test(file, name)]
    assert not missing


def is_test(file: str, name: str) -> bool:
    path = ROOT / file
    return path.exists() and (not name or f"def {name}(" in path.read_text())


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are for curl")
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/api/tickets.md",
        "docs/api/agents.md",
        "docs/api/events.md",
        "docs/api/audit.md",
        "docs/api/operations.md",
        "docs/api/tokens.md",
        "docs/api/sign-in.md",
        "docs/api/single-sign-on.md",
    ],
)
async def test_examples_answer_as_shown(page: str, live: httpx.AsyncClient) -> None:
    """Each `$ curl …` is run, in order; `…` in what is shown stands for anything."""
    examples = [example for block in CONSOLE.findall(text(page)) for example in parts(block)]
    assert examples
    for command, shown in examples:
        pattern = ".*".join(re.escape(piece) for piece in shown.split("…"))
        answered = await run(command.replace("localhost:3000", str(live.base_url)[7:].rstrip("/")))
        assert re.fullmatch(pattern, answered, re.DOTALL), f"{command}\n{answered}"


def parts(block: str) -> list[tuple[str, str]]:
    """Pairs of a curl command and what is shown below it."""
    examples = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    pairs = [example.split("\n", 1) for example in examples]
    return [(command, shown.strip()) for command, shown in pairs if command.startswith("curl")]


async def run(command: str) -> str:
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()
