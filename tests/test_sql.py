"""
Every statement of the code, prepared against the migrated schema: it is valid SQL, takes as
many values as it is given, and its columns are the fields of the struct that it is read into,
in their order and of their kinds. That gives back what an ORM is for.
"""

import ast
import importlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec

from pullse.gateway import log
from pullse.kit.db import Database
from pullse.tickets import changing, creating, listing, queries
from pullse.tickets.listing import Shape
from pullse.tickets.model import Order, Priority, Status, TicketQuery

ROOT = Path(__file__).parents[1]
READ = {"one", "maybe", "all"}
"""Methods of Db whose first argument is the struct of a row."""
METHODS = READ | {"rows", "value", "run"}
KINDS: dict[Any, set[str]] = {
    int: {"int2", "int4", "int8"},
    float: {"float8"},
    str: {"text", "jsonb", "varchar", "name"},
    bool: {"bool"},
    bytes: {"bytea"},
    UUID: {"uuid"},
    datetime: {"timestamptz"},
    list[str]: {"text[]"},
    list[UUID]: {"uuid[]"},
    date: {"date"},
}
PASSED_ON = {
    ("pullse.tickets.creating", "sql"),  # one of the constants, which are prepared by themselves
    ("pullse.tickets.changing", "sql"),
    ("pullse.tickets.listing", "statement(shape)"),  # all shapes are below
    ("pullse.tickets.listing", "sql"),  # one of the constants
    ("pullse.gateway.log", "statement"),  # all kinds and orders are below
    ("pullse.operations.holdings", """f'SELECT EXISTS (SELECT FROM {SCHEMA}."{table}")'"""),
}


@dataclass(frozen=True)
class Statement:
    place: str
    sql: str
    row: Any
    given: int | None
    """How many values it is given; None when that is not written out."""


def modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    for file in sorted((ROOT / "pullse").rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("pullse.__main__", "pullse.kit.db"):
            yield importlib.import_module(name), ast.parse(file.read_text())


def statements() -> Iterator[Statement]:
    for module, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from statement_of(module, node, node.func.attr)


def statement_of(module: ModuleType, call: ast.Call, method: str) -> Iterator[Statement]:
    position = 1 if method in READ else 0
    if method not in METHODS or len(call.args) <= position or is_other(call):
        return
    written = call.args[position]
    sql = evaluated(module, written)
    if not isinstance(sql, str):
        source = ast.unparse(written)
        assert (module.__name__, source) in PASSED_ON, f"{module.__name__}: what is {source}?"
        return
    values = call.args[position + 1 :]
    is_open = any(isinstance(each, ast.Starred) for each in values)
    yield Statement(
        f"{module.__name__}:{call.lineno}",
        sql,
        evaluated(module, call.args[0]) if method in READ else None,
        None if is_open else len(values),
    )


def is_other(call: ast.Call) -> bool:
    """Methods of other things with the same names, such as `subprocess.run`."""
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value) not in ("db", "first", "second", "session")


def evaluated(module: ModuleType, node: ast.expr) -> Any:
    """A literal, or what is made of the module's constants; None for what only a run knows."""
    try:
        code = compile(ast.Expression(node), module.__name__, "eval")
        return eval(code, dict(vars(module)))
    except NameError:
        return None


def constants() -> dict[str, str]:
    return {
        f"{module.__name__}.{name}": value
        for module, _ in modules()
        for name, value in vars(module).items()
        if name.endswith("_SQL") and isinstance(value, str)
    }


async def test_every_statement_fits_the_schema_and_its_row(database: Database) -> None:
    found = list(statements())
    assert len(found) > 40
    wrong = []
    async with database.pool.acquire() as connection:
        for each in found:
            try:
                prepared = await connection.prepare(each.sql)
            except Exception as error:
                wrong.append(f"{each.place}: {error}")
                continue
            taken = len(prepared.get_parameters())
            if each.given not in (None, taken):
                wrong.append(f"{each.place}: takes {taken} values and is given {each.given}")
            if each.row is not None:
                wrong += misfits(each.place, prepared.get_attributes(), each.row)
    assert wrong == []


def misfits(place: str, columns: Any, row: Any) -> Iterator[str]:
    fields = msgspec.structs.fields(row)
    names = [column.name for column in columns]
    if names != [field.name for field in fields]:
        yield f"{place}: columns {names} are read into {[field.name for field in fields]}"
        return
    for column, field in zip(columns, fields, strict=True):
        kinds = [kind for kind in members(field.type) if kind is not type(None)]
        if not any(column.type.name in KINDS[kind] for kind in kinds):
            yield f"{place}: {column.name} is {column.type.name}, not {field.type}"


def members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


async def test_every_constant_is_a_statement(database: Database) -> None:
    assert len(constants()) >= 8
    async with database.pool.acquire() as connection:
        for sql in constants().values():
            assert (await connection.prepare(sql)).get_attributes()


async def test_every_part_of_a_channel_is_read_into_its_row(database: Database) -> None:
    async with database.pool.acquire() as connection:
        for (kind, _), sql in log.STATEMENTS.items():
            prepared = await connection.prepare(sql)
            assert len(prepared.get_parameters()) == (9 if kind.endswith("ticket") else 8)
            row = log.Entry if kind in log.OF_ENTRIES else log.Fact
            assert list(misfits(kind, prepared.get_attributes(), row)) == []


async def test_what_batches_read_by_position_is_where_they_look(database: Database) -> None:
    changed = list(changing.Changed.__struct_fields__)
    async with database.pool.acquire() as connection:
        for sql, wanted in (
            (queries.GET_MANY_SQL, ["id", "version", "body", "circle"]),
            (queries.GET_MANY_BY_NUMBER_SQL, ["number", "version", "body", "circle"]),
            (creating.CREATE_SQL, ["id", "version", "body"]),
            (creating.CREATE_UNHINDERED_SQL, ["id", "version", "body"]),
            (changing.CHANGE_SQL, changed),
            (changing.CHANGE_UNHINDERED_SQL, changed),
            (changing.CHANGE_TEXTS_SQL, changed),
            (changing.CHANGE_TEXTS_UNHINDERED_SQL, changed),
        ):
            prepared = await connection.prepare(sql)
            assert [column.name for column in prepared.get_attributes()] == wanted


async def test_no_trigger_stands_before_a_change_of_a_ticket(database: Database) -> None:
    """PostgreSQL would make the words of a ticket anew at each: see 0022_words_stay.sql."""
    found = await database.pool.fetch(
        """
        SELECT trigger_name FROM information_schema.triggers
         WHERE event_object_table = 'tickets' AND action_timing = 'BEFORE'
           AND event_manipulation = 'UPDATE'
        """
    )
    assert found == []


MOMENT = "2026-06-01T00:00:00+00:00"
RANGES: list[dict[str, str]] = [
    {},
    {"created_after": MOMENT},
    {"created_before": MOMENT, "updated_after": MOMENT},
    {f"{field}_{side}": MOMENT for field in ("created", "updated") for side in ("after", "before")},
]


def asked(
    *,
    agents: list[str],
    ranges: list[dict[str, str]],
    words: list[str | None],
    limits: list[int],
    teams: Sequence[list[str]] = ([],),
) -> Iterator[TicketQuery]:
    """Queries of every combination of how many values each filter has."""
    for status, urgency, who, range_, q, order, has_cursor, limit, team in itertools.product(
        (0, 1, 3, 4),
        (0, 1, 2, 4),
        ([], agents[:1], ["none"], [*agents[:2], "none"]),
        ranges,
        words,
        Order,
        (False, True),
        limits,
        teams,
    ):
        cursor = listing.make_cursor(order, 2, datetime.fromisoformat(MOMENT), UUID(agents[0]))
        yield msgspec.convert(
            {
                "status": list(Status)[:status],
                "priority": list(Priority)[:urgency],
                "assigned_to": who,
                "team_id": team,
                **range_,
                **({"q": q} if q else {}),
                "sort": order,
                "limit": limit,
                **({"cursor": cursor} if has_cursor else {}),
            },
            TicketQuery,
        )


async def test_every_shape_of_the_list_is_a_statement(database: Database) -> None:
    agents = [str(UUID(int=1)), str(UUID(int=2))]
    shapes: dict[Shape, int] = {}
    for query in asked(agents=agents, ranges=RANGES[:1], words=[None, "a"], limits=[50, 200]):
        shape, values = listing.take_apart(query, None)
        shapes[shape] = len(values) + 1
        if shape.has_words and shape.order not in listing.BY_CREATION:
            shapes[msgspec.structs.replace(shape, are_common=True)] = len(values) + 1
    for query in asked(agents=agents, ranges=RANGES[1:], words=[None], limits=[50]):
        if query.sort in (Order.NEWEST, Order.LEAST_URGENT) and len(query.status) in (0, 3):
            shape, values = listing.take_apart(query, None)
            shapes[shape] = len(values) + 1
    teams = [[], agents[:1], [*agents, "none"]]
    for query in asked(agents=agents, ranges=RANGES[:1], words=[None], limits=[50], teams=teams):
        if len(query.status) in (0, 3) and len(query.priority) in (0, 2):
            shape, values = listing.take_apart(query, frozenset({UUID(int=1)}))
            shapes[shape] = len(values) + 1
    for query in asked(agents=agents, ranges=RANGES[:1], words=[None, "a"], limits=[1, 50]):
        if len(query.status) in (0, 3) and len(query.priority) in (0, 2):
            among = None if query.cursor else [UUID(int=1)]
            shape, values = listing.take_apart(
                query, frozenset({UUID(int=1)}), brief=True, among=among
            )
            shapes[shape] = len(values) + 1
    assert len(shapes) > 700
    async with database.pool.acquire() as connection:
        for shape, given in list(shapes.items())[:: 4 if len(shapes) > 3000 else 1]:
            prepared = await connection.prepare(listing.statement(shape))
            assert len(prepared.get_parameters()) == given, shape
            assert list(misfits(str(shape), prepared.get_attributes(), listing.Row)) == []
        for sql in (listing.TRASH_SQL, listing.BRIEF_TRASH_SQL):
            prepared = await connection.prepare(sql)
            assert list(misfits("trash", prepared.get_attributes(), listing.Row)) == []


@dataclass
class Cost:
    """What a plan did in reality."""

    touched: int = 0
    sorted: int = 0
    is_whole: bool = False

    def add(self, node: dict[str, Any]) -> "Cost":
        kind, times = node["Node Type"], node["Actual Loops"]
        if node.get("Relation Name") == "tickets" and "Scan" in kind:
            left_out = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
            rows = node["Actual Rows"] + sum(node.get(name, 0) for name in left_out)
            self.touched += round(rows * times)
            self.is_whole = self.is_whole or kind == "Seq Scan"
        if kind == "Sort":
            self.sorted += round(sum(each["Actual Rows"] for each in node["Plans"]) * times)
        for each in node.get("Plans", []):
            self.add(each)
        return self


COUNT, AGENTS, TEAMS, BRANCHES = 20_000, 40, 20, 16


async def fill(database: Database) -> list[str]:
    """Tickets as they come in a year: most closed, few urgent, a fifth with nobody."""
    async with database.pool.acquire() as connection:
        await connection.execute(
            f"""
            SELECT setseed(0.5);
            INSERT INTO agents (id, name, email)
                 SELECT md5('agent' || n)::uuid, 'Agent ' || n, n || '@example.org'
                   FROM generate_series(0, {AGENTS} - 1) AS n;
            INSERT INTO teams (id, name, is_private)
                 SELECT md5('team' || n)::uuid, 'Team ' || n, n % 4 = 0
                   FROM generate_series(0, {TEAMS} - 1) AS n;
            INSERT INTO tickets (id, title, description, status, priority, assigned_to, team_id,
                                 created_at, updated_at, deleted_at)
                 SELECT md5('ticket' || n)::uuid, 'Ticket ' || n, 'It broke.',
                        (ARRAY['open', 'in_progress', 'resolved', 'closed', 'closed', 'closed'])
                            [1 + floor(random() * 6)::int],
                        (ARRAY['low', 'low', 'medium', 'medium', 'high', 'urgent'])
                            [1 + floor(random() * 6)::int],
                        CASE WHEN random() < 0.8
                             THEN md5('agent' || floor(random() * {AGENTS})::int)::uuid END,
                        CASE WHEN random() < 0.6
                             THEN md5('team' || floor(random() * {TEAMS})::int)::uuid END,
                        at, at + random() * interval '5 days',
                        CASE WHEN random() < 0.05 THEN now() END
                   FROM (SELECT n, timestamptz '2026-01-01 UTC' + n * interval '20 min' AS at
                           FROM generate_series(1, {COUNT}) AS n) AS one;
            """
        )
        await connection.execute("VACUUM ANALYZE tickets, teams")
        return [str(row[0]) for row in await connection.fetch("SELECT id FROM agents LIMIT 2")]


async def test_no_shape_of_the_list_reads_or_sorts_the_whole_table(database: Database) -> None:
    """A page without words costs by its length, or at most by how many tickets an agent has."""
    agents = await fill(database)
    wrong = []
    async with database.pool.acquire() as connection:
        rows = await connection.fetch("SELECT id FROM teams ORDER BY is_private, id LIMIT 2")
        teams = [str(row[0]) for row in rows]
        queries = [
            *((query, None) for query in of_everybody(agents, [[]])),
            *(
                (query, frozenset({UUID(teams[0])}))
                for query in of_everybody(agents, [[], teams[:1], teams])
                if len(query.status) in (0, 1) and len(query.priority) in (0, 2)
            ),
        ]
        for query, seen in queries:
            shape, values = listing.take_apart(query, seen)
            plan = await connection.fetchval(
                f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {listing.statement(shape)}",
                *values,
                query.limit,
            )
            cost = Cost().add(json.loads(plan)[0]["Plan"])
            if shape.nobody:
                most = COUNT
            elif shape.agents:
                most = 3 * COUNT // AGENTS
            else:
                most = COUNT // 5
            is_sorted = shape.agents or shape.nobody or shape.teams
            if (
                cost.is_whole
                or cost.touched > most
                or cost.sorted > max(BRANCHES * shape.at_most, most if is_sorted else 0)
            ):
                wrong.append((shape, cost))
    assert wrong == []


def of_everybody(agents: list[str], teams: list[list[str]]) -> Iterator[TicketQuery]:
    return asked(agents=agents, ranges=RANGES[:1], words=[None], limits=[50], teams=teams)


async def test_page_1000_costs_what_page_1_costs(database: Database) -> None:
    await fill(database)
    async with database.pool.acquire() as connection:
        for order in Order:
            costs = []
            for place in (0, 10_000):
                columns = "urgency, created_at, updated_at, id"
                sql = f"SELECT {columns} FROM tickets ORDER BY {ordered(order)}"
                row = await connection.fetchrow(f"{sql} LIMIT 1 OFFSET {place}")
                moment = row["updated_at" if order.endswith("updated") else "created_at"]
                cursor = listing.make_cursor(order, row["urgency"], moment, row["id"])
                shape, values = listing.take_apart(TicketQuery(sort=order, cursor=cursor), None)
                plan = await connection.fetchval(
                    f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {listing.statement(shape)}",
                    *values,
                    50,
                )
                costs.append(Cost().add(json.loads(plan)[0]["Plan"]).touched)
            assert costs[1] <= max(BRANCHES * 51, 2 * costs[0]), order


def ordered(order: Order) -> str:
    direction = "DESC" if order.startswith("-") else "ASC"
    return ", ".join(f"{key} {direction}" for key in listing.sort_keys(order))
