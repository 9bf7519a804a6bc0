"""/api/operations: what runs here, how far it is, and what the doctor finds."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.operations import state
from pullse.operations.checkup import Report
from pullse.operations.state import State


class Finding(msgspec.Struct, frozen=True):
    what: str
    is_well: bool
    text: str
    remedy: Annotated[str, Meta(description="What to do; empty where there is nothing to do.")]


class Checkup(msgspec.Struct, frozen=True):
    at: datetime
    is_well: Annotated[bool, Meta(description="All has answered, and nothing is wrong.")]
    findings: list[Finding]
    missing: Annotated[list[str], Meta(description="What has not answered yet; ask again.")]


class Schema(msgspec.Struct, frozen=True):
    applied: Annotated[int, Meta(description="Migrations that have run.")]
    newest: str | None
    pending: list[str]


class Reader(msgspec.Struct, frozen=True):
    name: str
    is_at_work: Annotated[bool, Meta(description="This release runs it.")]
    facts: Annotated[int, Meta(description="That wait for it; 10,000 stands for more.")]
    seconds: Annotated[float, Meta(description="For which the oldest of them has waited.")]
    error: str | None


class Jobs(msgspec.Struct, frozen=True):
    waiting: int
    dead: int
    oldest_due_seconds: float


class RealTime(msgspec.Struct, frozen=True):
    provider: Literal["pullse", "ably", "none"]
    processes: Annotated[int, Meta(description="That serve the built-in gateway.")]
    connections: Annotated[int, Meta(description="To the built-in gateway, of all processes.")]
    followers: Annotated[int, Meta(description="Of the feed, in this process.")]


class Operations(msgspec.Struct, frozen=True):
    version: str
    python: str
    database: Annotated[str, Meta(description="Where it is, without secrets.")]
    postgresql: str
    schema: Schema
    readers: list[Reader]
    jobs: Jobs
    realtime: RealTime
    last_backup_at: Annotated[datetime | None, Meta(description="By `pullse backup`.")]
    checkup: Checkup


async def show(request: Request) -> Answer:
    found = await state.read(request)
    report = await request.services.checkup.report()
    return ok(request, encoded(told(found, report)))


def told(found: State, report: Report) -> Operations:
    findings = [
        Finding(each.what, each.is_well, each.text, each.remedy) for each in report.findings
    ]
    backlog = found.backlog
    return Operations(
        version=found.version,
        python=found.python,
        database=found.database,
        postgresql=found.postgresql,
        schema=Schema(found.applied, found.newest, found.pending),
        readers=[
            Reader(
                each.name,
                each.name in found.at_work,
                each.facts,
                round(max(0.0, each.seconds), 3),
                each.error,
            )
            for each in found.readers
        ],
        jobs=Jobs(backlog.jobs, backlog.dead_jobs, round(max(0.0, backlog.due_job), 3)),
        realtime=RealTime(
            found.provider,  # type: ignore[arg-type]
            found.gateway.processes,
            found.gateway.connections,
            found.followers,
        ),
        last_backup_at=found.last_backup_at,
        checkup=Checkup(report.at, report.is_well, findings, report.missing),
    )


EXAMPLE = {
    "version": "0.1.0",
    "python": "3.13.1",
    "database": "PostgreSQL at db.example.com:5432/pullse",
    "postgresql": "17.2",
    "schema": {"applied": 20, "newest": "0020_audit_by_name", "pending": []},
    "readers": [
        {"name": "ably", "is_at_work": True, "facts": 0, "seconds": 0.0, "error": None},
    ],
    "jobs": {"waiting": 2, "dead": 0, "oldest_due_seconds": 0.0},
    "realtime": {"provider": "ably", "processes": 0, "connections": 0, "followers": 12},
    "last_backup_at": "2026-11-22T03:00:00.123456+00:00",
    "checkup": {
        "at": "2026-11-22T09:00:00.123456+00:00",
        "is_well": True,
        "findings": [{"what": "version", "is_well": True, "text": "PostgreSQL 17.2", "remedy": ""}],
        "missing": [],
    },
}

calls = [
    Call(
        "GET",
        "/api/operations",
        show,
        "What runs, how far it is, and what the doctor finds",
        "The state has been fetched.",
        data=Operations,
        example=EXAMPLE,
        tag="operations",
        description="What `pullse doctor` looks at, from this process, at most every ten seconds. "
        "What does not answer within some seconds is in `missing`.",
        permission="operations:read",
    ),
]
