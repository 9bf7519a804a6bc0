"""
What an agent feels, in Chromium: how soon a key shows on the screen, how soon a change shows on
another agent's, and what a tab weighs after a day.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bench import data, servers
from bench.client import Connection
from bench.cluster import Cluster
from bench.desk import chromium, shop
from bench.load import Failed
from bench.report import Section, Verdict, ms
from bench.servers import Server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PAINT_MS = 100.0
OTHER_MS = 150.0
GROWTH = 0.20
EVENTS = 10_000
CHANGES = 60
GAPS = (0.1, 1.0)
"""Seconds from a change to the next."""
CONNECTIONS = 4
UNSEEN = 16.0
"""Milliseconds; Chromium tells of no interaction that was shorter."""
PATIENCE_MS = 120_000
NEWEST = 50
STATUSES = ("open", "in_progress")
WALK = (*"jjjjkkjj", "x", "j", "x", "Escape")
HELP = ("?", "Escape")
PALETTE = ("Control+k", *"open", *["Backspace"] * 4, *"prio", "ArrowDown", "ArrowUp", "Escape")
SEARCH = ("/", *"printer", "Escape")
KEYS = (*WALK, *HELP, *PALETTE, *SEARCH)
OBSERVE = """() => {
    globalThis.interactions = new Map()
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) {
            const longest = Math.max(each.duration, interactions.get(each.interactionId) ?? 0)
            if (each.interactionId) interactions.set(each.interactionId, longest)
        }
    }).observe({ type: 'event', durationThreshold: 16 })
}"""
SEND = """async ([number, status]) => {
    const version = (await (await fetch(`/api/tickets/${number}`)).json()).data.version
    const at = performance.timeOrigin + performance.now()
    const body = new URLSearchParams({ version, status })
    await fetch(`/tickets/${number}/changes`, { method: 'POST', body, redirect: 'manual' })
    return at
}"""
SEE = """([number, status]) => new Promise((resolve) => {
    const now = () => resolve(performance.timeOrigin + performance.now())
    const painted = () => requestAnimationFrame(() => setTimeout(now))
    const isThere = () => document.querySelector(`#t${number} [data-status="${status}"]`)
    const watch = new MutationObserver(() => isThere() && (watch.disconnect(), painted()))
    watch.observe(document.body, { subtree: true, childList: true, attributes: true })
})"""
COUNT = "() => { globalThis.facts = 0; document.addEventListener('fact', () => (facts += 1)) }"


def measure(
    cluster: Cluster, *, events: int = EVENTS, changes: int = CHANGES, say: Callable[[str], None]
) -> Iterator[Section]:
    base = shop.filled(cluster, "desk_feel", data.TICKETS, say)
    with servers.ours(base, PULLSE_RATE="100000") as server:
        shop.counted(base, say)
        found = asyncio.run(felt(server, events, changes, say))
    yield section(*found, events)


async def felt(
    server: Server, events: int, changes: int, say: Callable[[str], None]
) -> tuple[list[float], list[float], dict[str, tuple[float, float]]]:
    async with chromium.chromium() as browser:
        say("keys …")
        paints = await interactions(browser, server)
        say("changes on another agent's screen …")
        delays = await across(browser, server, changes)
        say(f"a tab that sees {events:,} events …")
        grown = await growth(browser, server, events)
    return paints, delays, grown


async def interactions(browser: "Browser", server: Server) -> list[float]:
    """From a key to the next frame, of each; on a list, and then on a ticket."""
    taken: list[float] = []
    async with chromium.person(browser, server, 0) as page:
        for path in ("/tickets", "/tickets/7"):
            await page.goto(path)
            await page.wait_for_timeout(500)
            await page.evaluate(OBSERVE)
            for key in KEYS:
                await page.keyboard.press(key)
                await page.wait_for_timeout(60)
            await page.wait_for_timeout(300)
            told = await page.evaluate("() => [...interactions.values()]")
            taken += [float(each) for each in told] + [UNSEEN] * (len(KEYS) - len(told))
    return sorted(taken)


async def across(browser: "Browser", server: Server, changes: int) -> list[float]:
    """From the moment before one agent's form is sent to the frame that the other sees."""
    async with (
        chromium.person(browser, server, 0) as here,
        chromium.person(browser, server, 2) as there,
    ):
        await there.goto("/tickets")
        await there.wait_for_timeout(1500)
        number = await there.locator("[data-row]").first.get_attribute("data-number")
        await here.goto(f"/tickets/{number}")
        delays, rng = [], random.Random("gaps")
        for turn in range(changes):
            status = STATUSES[turn % 2]
            if turn == 0:  # from wherever it was
                await here.evaluate(SEND, [number, STATUSES[1]])
                await there.wait_for_timeout(1000)
            seeing = asyncio.ensure_future(there.evaluate(SEE, [number, status]))
            await asyncio.sleep(rng.uniform(*GAPS))
            sent = await here.evaluate(SEND, [number, status])
            delays.append(await asyncio.wait_for(seeing, 10) - sent)
    return sorted(delays)


async def growth(browser: "Browser", server: Server, events: int) -> dict[str, tuple[float, float]]:
    """Heap (MB) and nodes before and after, each when what is not needed was thrown away."""
    async with chromium.person(browser, server, 0) as page:
        await page.goto("/tickets")
        await page.evaluate(COUNT)
        sent = await flood(server, "Warm", events // 20)
        await seen(page, sent)
        before = await size(page)
        sent += await flood(server, "Number", events)
        await seen(page, sent)
        after = await size(page)
    return {name: (before[name], after[name]) for name in before}


async def flood(server: Server, name: str, events: int) -> int:
    """Changes of the tickets that the list shows; how many they were."""
    open_to_all = ",".join(["none", *map(str, map(shop.team_id, range(shop.PRIVATE, shop.TEAMS)))])
    path = f"/api/tickets?limit={NEWEST}&team_id={open_to_all}"
    records = json.loads(server.get(path))["data"]["records"]
    ids = [each["id"] for each in records]

    async def change(share: list[str]) -> None:
        connection = await Connection(server).open()
        for turn in range(events // CONNECTIONS):
            body = {"title": f"{name} {turn}"}
            await connection.call("PATCH", f"/api/tickets/{share[turn % len(share)]}", body)
        await connection.close()

    await asyncio.gather(*(change(ids[part::CONNECTIONS]) for part in range(CONNECTIONS)))
    return events // CONNECTIONS * CONNECTIONS


async def seen(page: "Page", events: int) -> None:
    """What a script made of a fact is done a moment later."""
    await page.wait_for_function("(count) => facts >= count", arg=events, timeout=PATIENCE_MS)
    await page.wait_for_timeout(3000)


async def size(page: "Page") -> dict[str, float]:
    tools: Any = await chromium.devtools(page)
    await tools.send("Performance.enable")
    for _ in range(3):
        await tools.send("HeapProfiler.collectGarbage")
        await page.wait_for_timeout(200)
    told = await tools.send("Performance.getMetrics")
    metrics = {each["name"]: each["value"] for each in told["metrics"]}
    await tools.detach()
    if "JSHeapUsedSize" not in metrics:
        raise Failed("Chromium does not say what a tab uses")
    return {"heap, MB": metrics["JSHeapUsedSize"] / 1e6, "nodes": metrics["Nodes"]}


def section(
    paints: list[float], delays: list[float], grown: dict[str, tuple[float, float]], events: int
) -> Section:
    rows = [
        percentiles("a key, to the next frame", paints),
        percentiles("a change, to the other's screen", delays),
    ]
    before, after = grown["heap, MB"]
    rows.append(("heap of a tab, before and after", f"{before:.1f} MB", f"{after:.1f} MB", ""))
    nodes = grown["nodes"]
    rows.append(("nodes of a tab, before and after", f"{nodes[0]:,.0f}", f"{nodes[1]:,.0f}", ""))
    by = max(later / earlier - 1 for earlier, later in grown.values())
    verdicts = [
        within("interaction to next paint", paints, PAINT_MS),
        within("a change on the other agent's screen", delays, OTHER_MS),
        Verdict(f"a tab grows by < {GROWTH:.0%} in {events:,} events", f"{by:+.1%}", by < GROWTH),
    ]
    return Section("In Chromium", ("what", "p50", "p95", "max"), rows, verdicts)


def percentiles(name: str, taken: list[float]) -> tuple[str, str, str, str]:
    return name, ms(taken[len(taken) // 2]), ms(p95(taken)), ms(taken[-1])


def within(what: str, taken: list[float], most: float) -> Verdict:
    return Verdict(f"{what}, p95 ≤ {most:.0f} ms", ms(p95(taken)), p95(taken) <= most)


def p95(taken: list[float]) -> float:
    return taken[len(taken) * 95 // 100]
