"""/api/tickets/bulk: several tickets at once, all or nothing, and the whole taken back."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.errors import Invalid
from pullse.kit import idempotency
from pullse.kit.db import Db
from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.tickets import bulk, receipts
from pullse.tickets.bulk import MOST, Outcome
from pullse.tickets.model import AssignedTo, Priority, Status, TeamId, TicketChanges
from pullse.tickets.receipts import KINDS, Kind
from pullse.tickets.several import One

Version = Annotated[
    int, Meta(ge=1, le=2**31 - 1, description="As it was seen; without it, as it is.")
]
Ids = list[UUID]
ID = "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70"
RECEIPT = "9Rj0bQ…"


class BulkTicket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    version: Version | None = None


class BulkChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same for each of the tickets; only what is sent is changed."""

    status: Status | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    assigned_to: AssignedTo | UnsetType = UNSET
    team_id: TeamId | UnsetType = UNSET


class BulkTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tickets: Annotated[list[BulkTicket], Meta(min_length=1, max_length=MOST)]
    action: Literal["change", "delete", "restore"] = "change"
    changes: Annotated[BulkChanges, Meta(description='With "change" alone.')] | UnsetType = UNSET


class TakenBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    receipt: Annotated[str, Meta(max_length=1000, description="Of the answer to what was done.")]


class BulkResult(msgspec.Struct, frozen=True):
    done: Ids
    unchanged: Annotated[Ids, Meta(description="They were so already.")]
    stale: Annotated[Ids, Meta(description="Changed since by somebody else, and left so.")]
    not_found: Annotated[Ids, Meta(description="Not there, or not in the trash.")]
    refused: Annotated[Ids, Meta(description="Their private team is not the assignee's.")]
    receipt: Annotated[
        str | None,
        Meta(description="Takes the whole back, for a day; null where nothing was done."),
    ]


EXAMPLE = BulkResult([UUID(ID)], [], [], [], [], RECEIPT)


async def do(request: Request) -> Answer:
    task = await request.read_body(BulkTask)
    check(task)

    async def run(db: Db) -> Answer:
        return told(request, KINDS[task.action], await done(db, task, request))

    return await idempotency.post(request, run)


async def undo(request: Request) -> Answer:
    span = receipts.span_in(request, (await request.read_body(TakenBack)).receipt)

    async def run(db: Db) -> Answer:
        return told(request, "undone", await bulk.take_back(db, span, by=request.actor))

    return await idempotency.post(request, run)


async def done(db: Db, task: BulkTask, request: Request) -> Outcome:
    tickets = [One(each.id, each.version) for each in task.tickets]
    if isinstance(task.changes, BulkChanges):
        changes = TicketChanges(**msgspec.structs.asdict(task.changes))
        return await bulk.change(db, tickets, changes, by=request.actor)
    act = bulk.delete if task.action == "delete" else bulk.restore
    return await act(db, tickets, by=request.actor)


def check(task: BulkTask) -> None:
    """What the shapes alone can't say."""
    if len({each.id for each in task.tickets}) < len(task.tickets):
        raise Invalid.field("tickets", "Each ticket once only.")
    if task.action != "change" and task.changes is not UNSET:
        raise Invalid.field("changes", f'There is nothing to be changed with "{task.action}".')
    if task.action == "change" and task.changes in (UNSET, BulkChanges()):
        raise Invalid.field("changes", "Say what is to be changed.")


def told(request: Request, kind: Kind, outcome: Outcome) -> Answer:
    receipt = receipts.receipt(kind, outcome)
    result = BulkResult(
        sorted(outcome.done),
        sorted(outcome.same),
        sorted(outcome.stale),
        sorted(outcome.gone),
        sorted(outcome.barred),
        receipts.written(request, receipt) if receipt.span else None,
    )
    return ok(request, encoded(result))


def call(path: str, run: Any, summary: str, message: str, body: type, example: Any) -> Call:
    return Call(
        "POST",
        path,
        run,
        summary,
        message,
        body=body,
        data=BulkResult,
        example=msgspec.to_builtins(EXAMPLE),
        body_example=example,
        tag="tickets",
        permission="tickets:write",
    )


calls = [
    call(
        "/api/tickets/bulk",
        do,
        "Change, delete or restore several tickets at once",
        "Tickets have been changed.",
        BulkTask,
        {"tickets": [{"id": ID, "version": 1}], "changes": {"status": "resolved"}},
    ),
    call(
        "/api/tickets/bulk/undo",
        undo,
        "Take back what was done to several tickets",
        "It has been taken back.",
        TakenBack,
        {"receipt": RECEIPT},
    ),
]
