"""What a fact becomes on the channels: the public contract, and messages that always fit."""

import json
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pullse.kit.events import Fact
from pullse.realtime.projection import ACTIVITY, UPDATES, Message, messages, shared

TICKET = UUID("019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70")
STATE = {
    "number": 42,
    "title": "The invoice shows the wrong address",
    "status": "open",
    "priority": "high",
    "assigned_to": None,
    "version": 1,
}


def fact(name: str, ticket_id: UUID | None = TICKET, **data: Any) -> Fact:
    body = {"id": 7, "name": name, "ticket_id": ticket_id, "actor": "owner", "data": data}
    return Fact(700, 7, name, ticket_id, msgspec.json.encode(body).decode())


def public(fact: Fact) -> list[tuple[str, Any]]:
    return [(m.name, json.loads(m.data)) for m in messages(fact) if m.channel == UPDATES]


def activity(fact: Fact) -> Message:
    (found,) = (message for message in messages(fact) if message.channel == ACTIVITY)
    return found


def test_a_created_ticket_is_announced_with_what_it_is() -> None:
    data = {
        "ticketId": str(TICKET),
        "number": 42,
        "title": "The invoice shows the wrong address",
        "status": "open",
        "priority": "high",
        "assignedTo": None,
    }
    assert public(fact("ticket.created", **STATE)) == [("ticket_created", data)]


def test_a_changed_status_is_announced_with_the_one_before() -> None:
    state = STATE | {"status": "resolved", "changes": {"status": ["open", "resolved"]}}
    ((name, data),) = public(fact("ticket.changed", **state))
    assert name == "ticket_updated"
    assert data["ticketId"] == str(TICKET)
    assert (data["previousStatus"], data["status"], data["number"]) == ("open", "resolved", 42)


def test_other_changes_are_not_announced() -> None:
    state = STATE | {"changes": {"priority": ["low", "high"], "title": ["a", "b"]}}
    assert public(fact("ticket.changed", **state)) == []


def test_a_change_whose_words_were_purged_is_not_announced() -> None:
    assert public(fact("ticket.changed", number=42, status="closed")) == []


def test_a_deleted_ticket_is_announced_by_its_id_and_number() -> None:
    expected = [("ticket_deleted", {"ticketId": str(TICKET), "number": 42})]
    assert public(fact("ticket.deleted", **STATE)) == expected


def test_every_fact_is_on_the_activity_channel_as_it_is() -> None:
    for name in ("ticket.created", "ticket.restored", "agent.changed", "something.new"):
        told = fact(name, **STATE)
        message = activity(told)
        assert (message.name, message.id, message.data) == (name, "7", told.body)


def test_a_tickets_own_channel_has_its_facts_and_ably_does_not_get_it() -> None:
    told = fact("ticket.changed", **STATE)
    assert [each.channel for each in messages(told)] == [ACTIVITY, f"ticket:{TICKET}"]
    assert [each.channel for each in shared(told)] == [ACTIVITY]
    assert [each.channel for each in messages(fact("agent.created", None))] == [ACTIVITY]


def test_large_texts_are_left_out_of_a_fact_that_would_not_fit() -> None:
    changes = {"description": ["é" * 100_000, "b" * 100_000], "title": ["short", "brief"]}
    message = activity(fact("ticket.changed", **STATE, changes=changes))
    data = json.loads(message.data)["data"]
    assert data["truncated"] is True
    assert data["changes"] == {"description": [None, None], "title": ["short", "brief"]}
    assert data["number"] == 42
    assert message == activity(fact("ticket.changed", **STATE, changes=changes))


def test_a_fact_of_many_middling_texts_fits_too() -> None:
    data = {f"field_{number}": "x" * 900 for number in range(500)}
    message = activity(fact("custom.changed", None, **data))
    assert json.loads(message.data)["data"] == {"truncated": True}
    assert json.loads(message.data)["id"] == 7


@given(st.text(max_size=50), st.integers(0, 40_000), st.text(min_size=1, max_size=5))
def test_no_message_is_larger_than_ably_takes(title: str, times: int, text: str) -> None:
    state = STATE | {"title": title, "changes": {"description": [text * times, text]}}
    for message in messages(fact("ticket.changed", **state)):
        assert len(message.name.encode()) + len(message.data.encode()) <= 65_536
