"""Our calls beside the reference's and beside PostgreSQL's own limit, in one run.

Three databases start as the same files. Each row is measured three times, ours, reference and
pgbench in turn, so that whatever else the machine does hits all three; medians are compared.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import data, pgbench, servers, statements
from bench.cluster import Base, Cluster
from bench.load import CONNECTIONS, Failed, Load, Result, drive
from bench.report import TIMES, Section, Verdict, ms, per_second, share, times
from bench.servers import Server

PATCHED = 4_000
ROUNDS = 3
WARM_UP = 1.0


@dataclass(frozen=True)
class Call:
    """`of_reference` and `of_pgbench` are what we promise to reach, `aim` what we aim for."""

    name: str
    load: Load
    scripts: list[str]
    of_reference: float
    of_pgbench: float | None = None
    aim: float | None = None
    writes: bool = False


@dataclass(frozen=True)
class Contest:
    """The three that are compared, each with a database of its own."""

    our_server: Server
    our_base: Base
    their_server: Server
    their_base: Base
    bare_base: Base


@dataclass(frozen=True)
class Outcome:
    call: Call
    ours: list[Result]
    theirs: list[Result]
    bare: list[float]


def calls() -> list[Call]:
    some = data.ticket_numbers(data.TICKETS)
    ids = [data.ticket_id(number) for number in some]
    return [
        Call(
            "GET one",
            Load("GET", [(f"/api/tickets/{each}", "") for each in ids]),
            statements.get_one(data.TICKETS),
            of_reference=8,
            of_pgbench=0.15,
            aim=0.18,
        ),
        Call(
            "GET list of 50",
            Load("GET", [("/api/tickets?limit=50", "")]),
            statements.list_newest(),
            of_reference=6,
            of_pgbench=0.20,
            aim=0.22,
        ),
        Call(
            "POST",
            Load("POST", [("/api/tickets", body) for body in data.new_ticket_bodies(2000)]),
            statements.create(),
            of_reference=5,
            of_pgbench=0.25,
            aim=0.30,
            writes=True,
        ),
        Call(
            "PATCH status",
            Load("PATCH", status_changes()),
            statements.change(PATCHED),
            of_reference=5,
            writes=True,
        ),
    ]


def status_changes() -> list[tuple[str, str]]:
    """Each ticket in turn, then each again with the next status: every request changes a row."""
    return [
        (f"/api/tickets/{data.ticket_id(number)}", json.dumps({"status": status}))
        for status in statements.STEPS
        for number in range(1, PATCHED + 1)
    ]


def measure(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> Section:
    our_base = cluster.filled("ours", data.TICKETS)
    their_base = cluster.copy("reference", of="ours")
    bare_base = cluster.copy("bare", of="ours")
    outcomes = []
    with servers.ours(our_base) as our_server, servers.reference(their_base) as their_server:
        contest = Contest(our_server, our_base, their_server, their_base, bare_base)
        same_answers(contest)
        for call in calls():
            say(f"{call.name} …")
            outcomes.append(run(contest, call, seconds))
    return section(outcomes)


def run(contest: Contest, call: Call, seconds: float) -> Outcome:
    outcome = Outcome(call, [], [], [])
    for base in (contest.our_base, contest.their_base, contest.bare_base):
        base.run("VACUUM (ANALYZE) tickets", "CHECKPOINT")
    drive_counted(contest.our_server, contest.our_base, call, WARM_UP)
    drive_counted(contest.their_server, contest.their_base, call, WARM_UP)
    for _ in range(ROUNDS):
        outcome.ours.append(drive_counted(contest.our_server, contest.our_base, call, seconds))
        outcome.theirs.append(
            drive_counted(contest.their_server, contest.their_base, call, seconds)
        )
        if call.writes:
            reopen(contest.bare_base)
        outcome.bare.append(pgbench.rate(contest.bare_base, call.scripts, seconds=seconds))
    return outcome


def drive_counted(server: Server, base: Base, call: Call, seconds: float) -> Result:
    """A write counts only if it is in the database: the answers alone are not believed."""
    if not call.writes:
        return drive(server.url, call.load, seconds=seconds, token=server.token)
    reopen(base)
    before, facts_before = counts(base)
    result = drive(server.url, call.load, seconds=seconds, token=server.token)
    after, facts_after = counts(base)
    written = after - before
    if not result.requests <= written <= result.requests + CONNECTIONS:
        raise Failed(f"{call.name}: {result.requests} answers, {written} rows written")
    if server.token and facts_after - facts_before != written:
        raise Failed(f"{call.name}: {written} rows, {facts_after - facts_before} facts")
    return result


def reopen(base: Base) -> None:
    """All tickets as they were, so that the first change of each is one."""
    base.run("UPDATE tickets SET status = 'open' WHERE status <> 'open'", "CHECKPOINT")


def counts(base: Base) -> tuple[int, int]:
    """A new ticket and a change each add one to the sum of versions."""
    row = base.rows("SELECT (SELECT sum(version) FROM tickets), (SELECT count(*) FROM events)")
    return row[0][0], row[0][1]


def same_answers(contest: Contest) -> None:
    """Both give the same tickets in the same order; ours may show more fields."""
    for path in (f"/api/tickets/{data.ticket_id(7)}", "/api/tickets?limit=50"):
        ours = records(contest.our_server, path)
        theirs = records(contest.their_server, path)
        if len(ours) != len(theirs):
            raise Failed(f"{path} is answered with {len(ours)} and {len(theirs)} tickets")
        shared = [
            {name: one[name] for name in other} for one, other in zip(ours, theirs, strict=True)
        ]
        if [plain(each) for each in shared] != [plain(each) for each in theirs]:
            raise Failed(f"{path} is answered differently:\n{shared[:1]}\n{theirs[:1]}")


def records(server: Server, path: str) -> list[dict[str, Any]]:
    answered = json.loads(server.get(path))["data"]
    return list(answered.get("records", [answered]))


def plain(ticket: dict[str, Any]) -> dict[str, Any]:
    """Without the ways to write the same moment."""
    return {name: str(value)[:19] if name.endswith("_at") else value
            for name, value in ticket.items()}  # fmt: skip


def section(outcomes: list[Outcome]) -> Section:
    columns = ("call", "pullse", "p50", "p99", "reference", "ratio", "pgbench", "share")
    rows = []
    verdicts = []
    for outcome in outcomes:
        call = outcome.call
        ours = median(each.rate for each in outcome.ours)
        theirs = median(each.rate for each in outcome.theirs)
        bare = median(outcome.bare)
        p50 = median(each.p50_ms for each in outcome.ours)
        p99 = median(each.p99_ms for each in outcome.ours)
        rows.append(
            (call.name, per_second(ours), ms(p50), ms(p99), per_second(theirs),
             times(ours / theirs), per_second(bare), share(ours / bare))
        )  # fmt: skip
        verdicts += judge(call, ours / theirs, ours / bare)
    return Section("Speed", columns, rows, verdicts)


def judge(call: Call, of_reference: float, of_pgbench: float) -> list[Verdict]:
    verdicts = [
        Verdict(
            f"{call.name} ≥ {call.of_reference:g}{TIMES} the reference",
            times(of_reference),
            of_reference >= call.of_reference,
        )
    ]
    if call.of_pgbench and call.aim:
        verdicts.append(
            Verdict(
                f"{call.name} ≥ {share(call.of_pgbench)} of pgbench (aim {share(call.aim)})",
                share(of_pgbench),
                of_pgbench >= call.of_pgbench,
            )
        )
    return verdicts
