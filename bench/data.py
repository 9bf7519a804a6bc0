"""Tickets as a help desk has them: the words follow Zipf's law, the rest is spread unevenly.

Everything comes from a seeded generator, so two runs load and send the same.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

from pullse.kit.markdown import VERSION, render

# In the databases that calls are compared on.
TICKETS = 10_000

STATUSES = ("open", "in_progress", "resolved", "closed")
STATUS_WEIGHTS = (30, 20, 15, 35)
PRIORITIES = ("low", "medium", "high", "urgent")
PRIORITY_WEIGHTS = (40, 35, 18, 7)
AGENTS = 10
UNASSIGNED = 0.25
# The order of the columns that `tickets()` yields; number, version, … keep their defaults.
COLUMNS = ("id", "title", "description", "status", "priority", "assigned_to", "created_at",
           "updated_at", "description_html", "description_html_version")  # fmt: skip

# The commonest first; the English stop words among them before "printer".
COMMON = (Path(__file__).parent / "words.txt").read_text().split()
SYLLABLES = [first + vowel for first in "bcdfglmnprstvz" for vowel in "aeiou"]
VOCABULARY_SIZE = 20_000
FIRST_SEARCHABLE = COMMON.index("printer")


def vocabulary() -> list[str]:
    """The commonest word first; behind the real ones, made-up names and codes."""
    rng = random.Random(1)
    words = dict.fromkeys(COMMON)
    while len(words) < VOCABULARY_SIZE:
        words["".join(rng.choices(SYLLABLES, k=rng.choice((2, 3, 3, 4))))] = None
    return list(words)


def agent_id(number: int) -> UUID:
    return UUID(int=(0xA6E47 << 108) | number)


def ticket_id(number: int) -> UUID:
    """Rising like the version 7 ids that the application makes; pgbench computes the same."""
    return UUID(f"00000000-0000-7000-8000-{number:012x}")


class Writer:
    """Makes titles of about 40 characters and descriptions of about 300."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.words = vocabulary()
        self.weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(self.words))))

    def text(self, count: int) -> str:
        words = self.rng.choices(self.words, cum_weights=self.weights, k=count)
        return " ".join(words).capitalize()

    def title(self) -> str:
        return self.text(self.rng.randint(4, 8))

    def description(self) -> str:
        return self.text(self.rng.randint(30, 52)) + "."


def agents() -> Iterator[tuple[Any, ...]]:
    """Rows of (id, name, email)."""
    for number in range(1, AGENTS + 1):
        yield agent_id(number), f"Agent {number}", f"agent{number}@example.com"


def tickets(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows in the order of COLUMNS, the newest last, over the past two years."""
    writer = Writer(2)
    rng = writer.rng
    last = datetime(2026, 1, 1, tzinfo=UTC)
    step = timedelta(days=730) / count
    assignees = [agent_id(number) for number in range(1, AGENTS + 1)]
    for number in range(1, count + 1):
        created = last - step * (count - number)
        title, description = writer.title(), writer.description()
        yield (
            ticket_id(number),
            title,
            description,
            rng.choices(STATUSES, STATUS_WEIGHTS)[0],
            rng.choices(PRIORITIES, PRIORITY_WEIGHTS)[0],
            None if rng.random() < UNASSIGNED else rng.choice(assignees),
            created,
            created + timedelta(minutes=rng.randint(0, 3000)),
            render(description),
            VERSION,
        )


def new_ticket_bodies(count: int) -> list[str]:
    writer = Writer(3)
    return [
        json.dumps(
            {
                "title": writer.title(),
                "description": writer.description(),
                "priority": writer.rng.choices(PRIORITIES, PRIORITY_WEIGHTS)[0],
            }
        )
        for _ in range(count)
    ]


def searches(kind: str, count: int) -> list[str]:
    """Words to look for: rare, middling, common, or two (one common, one middling)."""
    rng = random.Random(f"search {kind}")
    words = vocabulary()
    reach = {
        "rare": words[-4000:],
        "middling": words[800:3000],
        "common": words[FIRST_SEARCHABLE : FIRST_SEARCHABLE + 30],
    }
    if kind == "two words":
        return [f"{rng.choice(reach['common'])} {rng.choice(reach['middling'])}"
                for _ in range(count)]  # fmt: skip
    return [rng.choice(reach[kind]) for _ in range(count)]


def ticket_numbers(count: int, sample: int = 10_000) -> list[int]:
    """Numbers of loaded tickets in a random order, for requests by id."""
    return random.Random(4).choices(range(1, count + 1), k=sample)
