"""Every statement about how many tickets there were on which day, and how long they took."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from pullse.kit.db import Db, Struct
from pullse.kit.events import Place
from pullse.reports.measuring import NAMES, Key, Mark, News
from pullse.tickets.access import visible

READER = "insight"
FIRST = "insight.first"
"""The reader's name while it goes through what was before it; its row stays behind."""
LISTED = ", ".join(f"'{name}'" for name in NAMES)

FILTERS = f"""{visible("$1::uuid[]")}
               AND ($2::boolean IS NOT TRUE OR team_id IS NOT DISTINCT FROM $3::uuid)
               AND ($4::boolean IS NOT TRUE OR assigned_to IS NOT DISTINCT FROM $5::uuid)"""
"""Of who asks, their teams; is a team asked for, and which; and the same of an agent."""


class Filter(Struct, frozen=True):
    """What somebody asks about, and may see. With `has_team`, a team of None is no team."""

    teams: frozenset[UUID] | None
    has_team: bool = False
    team_id: UUID | None = None
    has_agent: bool = False
    assigned_to: UUID | None = None


class Flow(Struct, frozen=True):
    day: date
    created: int
    resolved: int


class Waiting(Struct, frozen=True):
    """So many tickets that are not done yet, created on that day."""

    day: date
    urgency: int
    count: int


class Group(Struct, frozen=True):
    """
    Of a measure, in a stretch of days, a team or an agent, or of all together: how many, and in
    which bucket the half and nine tenths of them are.
    """

    kind: str
    measure: str
    day: date | None
    team_id: UUID | None
    assigned_to: UUID | None
    count: int
    p50: int
    p90: int


class Named(Struct, frozen=True):
    id: UUID
    name: str


class Progress(Struct, frozen=True):
    """`until`: all facts up to then are in, or none is. `is_first`: history is being read."""

    is_first: bool
    until: datetime | None


async def flow(db: Db, wanted: Filter, first: date, last: date) -> list[Flow]:
    """Of every day, also of those on which nothing happened."""
    return await db.all(
        Flow,
        f"""
        WITH found AS (
            SELECT day,
                   sum(count) FILTER (WHERE measure = 'created') AS created,
                   sum(count) FILTER (WHERE measure = 'resolved') AS resolved
              FROM ticket_rollups
             WHERE measure IN ('created', 'resolved')
               AND day BETWEEN $6 AND $7
               AND {FILTERS}
          GROUP BY day
        )
        SELECT each_day::date AS day,
               coalesce(created, 0)::bigint AS created,
               coalesce(resolved, 0)::bigint AS resolved
          FROM generate_series($6::date, $7::date, interval '1 day') AS each_day
          LEFT JOIN found ON found.day = each_day::date
      ORDER BY each_day
        """,
        wanted.teams,
        wanted.has_team,
        wanted.team_id,
        wanted.has_agent,
        wanted.assigned_to,
        first,
        last,
    )


async def backlog(db: Db, wanted: Filter) -> list[Waiting]:
    return await db.all(
        Waiting,
        f"""
        SELECT day, bucket AS urgency, sum(count)::bigint AS count
          FROM ticket_rollups
         WHERE measure = 'backlog'
           AND {FILTERS}
      GROUP BY day, bucket
        HAVING sum(count) <> 0
        """,
        wanted.teams,
        wanted.has_team,
        wanted.team_id,
        wanted.has_agent,
        wanted.assigned_to,
    )


async def groups(db: Db, wanted: Filter, first: date, last: date, *, step: int) -> list[Group]:
    """
    What was created, assigned and resolved in these days, and the backlog of now: together, by
    stretches of `step` days that end with the last one, by team and by agent.
    """
    return await db.all(
        Group,
        f"""
        WITH found AS (
            SELECT measure,
                   greatest($6::date, $7::date + 1 - ($7::date - day + $8::integer) / $8::integer
                                                     * $8::integer) AS day,
                   team_id, assigned_to, bucket, count
              FROM ticket_rollups
             WHERE ((measure IN ('created', 'assigned', 'resolved') AND day BETWEEN $6 AND $7)
                    OR measure = 'backlog')
               AND {FILTERS}
        ), summed AS (
            SELECT CASE WHEN grouping(day) = 0 THEN 'days'
                        WHEN grouping(team_id) = 0 THEN 'teams'
                        WHEN grouping(assigned_to) = 0 THEN 'agents'
                        ELSE 'all' END AS kind,
                   measure, day, team_id, assigned_to, bucket, sum(count) AS count
              FROM found
          GROUP BY GROUPING SETS ((measure, bucket), (measure, day, bucket),
                                  (measure, team_id, bucket), (measure, assigned_to, bucket))
            HAVING sum(count) > 0
        ), running AS (
            SELECT kind, measure, day, team_id, assigned_to, bucket, count,
                   sum(count) OVER (each_group ORDER BY bucket) AS upto,
                   sum(count) OVER each_group AS total
              FROM summed
            WINDOW each_group AS (PARTITION BY kind, measure, day, team_id, assigned_to)
        )
        SELECT kind, measure, day, team_id, assigned_to,
               sum(count)::bigint AS count,
               min(bucket) FILTER (WHERE upto >= ceil(total * 0.5)) AS p50,
               min(bucket) FILTER (WHERE upto >= ceil(total * 0.9)) AS p90
          FROM running
         WHERE NOT (kind = 'days' AND measure = 'backlog')
      GROUP BY kind, measure, day, team_id, assigned_to
      ORDER BY kind, measure, day
        """,
        wanted.teams,
        wanted.has_team,
        wanted.team_id,
        wanted.has_agent,
        wanted.assigned_to,
        first,
        last,
        step,
    )


async def team_names(db: Db, teams: frozenset[UUID] | None) -> list[Named]:
    """Of those whose tickets may be seen."""
    return await db.all(
        Named,
        f"SELECT id, name FROM teams WHERE {visible('$1::uuid[]', 'id')} ORDER BY name, id",
        teams,
    )


async def agent_names(db: Db, ids: Sequence[UUID]) -> list[Named]:
    """Also of those who left."""
    return await db.all(
        Named,
        "SELECT id, name FROM agents WHERE id = ANY($1::uuid[]) ORDER BY name, id",
        list(ids),
    )


async def choices(db: Db, most: int) -> list[Named]:
    """Agents who are here."""
    return await db.all(
        Named,
        "SELECT id, name FROM agents WHERE deleted_at IS NULL ORDER BY name, id LIMIT $1",
        most,
    )


async def progress(db: Db) -> Progress:
    return await db.one(
        Progress,
        f"""
        SELECT NOT EXISTS (SELECT FROM readers WHERE name = '{READER}') AS is_first,
               (SELECT events.at
                  FROM readers
                  JOIN events ON (events.tx, events.id) = (readers.tx, readers.id)
                 WHERE readers.name IN ('{READER}', '{FIRST}')
              ORDER BY readers.name = '{READER}' DESC
                 LIMIT 1) AS until
        """,
    )


async def news(db: Db, place: Place, end: Place) -> list[News]:
    """Facts about tickets after `place`, up to and with `end`."""
    return await db.all(
        News,
        f"""
        SELECT name, ticket_id, at, (data->>'team_id')::uuid AS team_id,
               (data->>'assigned_to')::uuid AS assigned_to,
               data->>'status' AS status, data->>'priority' AS priority
          FROM events
         WHERE (tx, id) > ($1, $2) AND (tx, id) <= ($3, $4)
           AND name IN ({LISTED})
           AND ticket_id IS NOT NULL
      ORDER BY tx, id
        """,
        place.tx,
        place.id,
        end.tx,
        end.id,
    )


async def marks(db: Db, ticket_ids: Sequence[UUID]) -> list[Mark]:
    """In a transaction. A plan from when the table was empty would go on reading all of it."""
    await db.run("SET LOCAL plan_cache_mode = force_custom_plan")
    return await db.all(
        Mark,
        """
        SELECT ticket_id, team_id, assigned_to, status, priority, is_deleted, created_at,
               assigned_at, resolved_at
          FROM ticket_marks
         WHERE ticket_id = ANY($1::uuid[])
        """,
        list(ticket_ids),
    )


async def put_marks(db: Db, found: Sequence[Mark]) -> None:
    await db.run(
        """
        INSERT INTO ticket_marks (ticket_id, team_id, assigned_to, status, priority, is_deleted,
                                  created_at, assigned_at, resolved_at)
             SELECT ticket_id, team_id, assigned_to, status, priority, is_deleted,
                    created_at, assigned_at, resolved_at
               FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],
                           $6::boolean[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[])
                    AS mark (ticket_id, team_id, assigned_to, status, priority, is_deleted,
                             created_at, assigned_at, resolved_at)
        ON CONFLICT ON CONSTRAINT ticket_marks_pkey DO UPDATE
                SET team_id = excluded.team_id, assigned_to = excluded.assigned_to,
                    status = excluded.status, priority = excluded.priority,
                    is_deleted = excluded.is_deleted, assigned_at = excluded.assigned_at,
                    resolved_at = excluded.resolved_at
        """,
        [each.ticket_id for each in found],
        [each.team_id for each in found],
        [each.assigned_to for each in found],
        [each.status for each in found],
        [each.priority for each in found],
        [each.is_deleted for each in found],
        [each.created_at for each in found],
        [each.assigned_at for each in found],
        [each.resolved_at for each in found],
    )


async def drop_marks(db: Db, ticket_ids: Sequence[UUID]) -> None:
    """Of tickets that are gone for good."""
    await db.run("DELETE FROM ticket_marks WHERE ticket_id = ANY($1::uuid[])", list(ticket_ids))


async def add(db: Db, counts: Mapping[Key, int]) -> None:
    """A count that comes to nothing is no row."""
    given = (
        [key.measure for key in counts],
        [key.day for key in counts],
        [key.team_id for key in counts],
        [key.assigned_to for key in counts],
        [key.bucket for key in counts],
    )
    await db.run(
        """
        INSERT INTO ticket_rollups (measure, day, team_id, assigned_to, bucket, count)
             SELECT measure, day, team_id, assigned_to, bucket, count
               FROM unnest($1::text[], $2::date[], $3::uuid[], $4::uuid[], $5::smallint[],
                           $6::integer[])
                    AS found (measure, day, team_id, assigned_to, bucket, count)
        ON CONFLICT ON CONSTRAINT ticket_rollups_each_once DO UPDATE
                SET count = ticket_rollups.count + excluded.count
        """,
        *given,
        list(counts.values()),
    )
    await db.run(
        """
        DELETE FROM ticket_rollups AS old
         USING unnest($1::text[], $2::date[], $3::uuid[], $4::uuid[], $5::smallint[])
               AS found (measure, day, team_id, assigned_to, bucket)
         WHERE old.count = 0
           AND old.measure = found.measure AND old.day = found.day
           AND old.team_id IS NOT DISTINCT FROM found.team_id
           AND old.assigned_to IS NOT DISTINCT FROM found.assigned_to
           AND old.bucket = found.bucket
        """,
        *given,
    )


async def begin(db: Db) -> None:
    """Unless all of history was read before, or is just now by another process."""
    await db.run(
        f"""
        INSERT INTO readers (name)
             SELECT '{FIRST}' WHERE NOT EXISTS (SELECT FROM readers WHERE name = '{READER}')
        ON CONFLICT ON CONSTRAINT readers_named_once DO NOTHING
        """
    )
    await db.run(
        f"""
        DELETE FROM readers
         WHERE name = '{FIRST}' AND EXISTS (SELECT FROM readers WHERE name = '{READER}')
        """
    )


async def is_first(db: Db) -> bool:
    return bool(await db.value(f"SELECT NOT EXISTS (SELECT FROM readers WHERE name = '{READER}')"))


async def finish(db: Db, place: Place) -> None:
    """All of history is read; from now on the reader is one that has to keep up."""
    await db.run(
        f"INSERT INTO readers (name, tx, id) VALUES ('{READER}', $1, $2)", place.tx, place.id
    )
    await db.run(f"DELETE FROM readers WHERE name = '{FIRST}'")
