"""The measured calls as pgbench scripts, made from the application's own SQL.

Parameters become constants or expressions, which spares PostgreSQL a little work: the limit
that we are compared with is rather too high than too low.
"""

from bench import data
from bench.pgbench import CLIENTS, ID, script
from pullse.kit.markdown import render
from pullse.tickets import changing, creating, listing, queries

TEXTS = 40
STEPS = ("in_progress", "resolved", "closed", "open")


def get_one(tickets: int) -> list[str]:
    return [script(queries.GET_SQL, {1: ID}, f"i random(1, {tickets})")]


def list_newest() -> list[str]:
    return [script(listing.LIST_SQL, {1: "50"})]


def create() -> list[str]:
    """One ticket a transaction. Our server sends several at once when they come at once."""
    writer = data.Writer(5)
    return [
        script(
            creating.CREATE_SQL,
            {
                1: "ARRAY[uuidv7()]",
                2: f"ARRAY['{writer.title()}']",
                3: f"ARRAY['{description}']",
                4: "ARRAY['low']",
                5: "ARRAY['open']",
                6: "ARRAY[NULL]",
                7: "ARRAY['token']",
                8: "ARRAY['0123456789abcdef01234567']",
                9: "ARRAY[NULL]",
                10: f"ARRAY['{render(description)}']",
            },
        )
        for description in (writer.description() for _ in range(TEXTS))
    ]


def change(tickets: int) -> list[str]:
    """One ticket a transaction. Each client goes round its own and gives each the next status:
    every transaction changes a row.
    """
    own = tickets // CLIENTS
    return [
        script(
            changing.CHANGE_SQL,
            {
                1: f"ARRAY[{ID}]",
                2: "ARRAY[NULL]",
                3: "ARRAY[NULL]",
                4: f"ARRAY[(CAST(ARRAY{list(STEPS)} AS text[]))[:s + 1]]",
                5: "ARRAY[NULL]",
                6: "ARRAY[false]",
                7: "ARRAY[NULL]",
                8: "ARRAY[NULL]",
                9: "ARRAY['token']",
                10: "ARRAY['0123456789abcdef01234567']",
                11: "ARRAY[false]",
                12: "ARRAY[NULL]",
                13: "ARRAY[NULL]",
                14: "ARRAY[NULL]",
            },
            "n :n + 1",
            f"i :client_id * {own} + :n % {own} + 1",
            f"s (:n / {own}) % {len(STEPS)}",
        )
    ]
