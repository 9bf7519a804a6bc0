"""Every statement about counts of tickets."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from pullse.kit.db import Db, Struct
from pullse.kit.events import Place
from pullse.tickets.access import visible

READER = "counts"
NEWS = 8000
"""
Steps after the reader's place that are added up when somebody asks, at most: of two thousand
facts and more, since a fact takes from two counts and adds to two.
"""

TICKETS = """grouped AS (
            SELECT CASE WHEN deleted_at IS NULL THEN status ELSE 'trash' END AS state,
                   CASE WHEN deleted_at IS NULL AND status = 'resolved'
                        THEN (updated_at AT TIME ZONE 'UTC')::date END AS day,
                   team_id, assigned_to, count(*)::integer AS count
              FROM tickets
          GROUP BY 1, 2, 3, 4
        ), tickets_now AS (
            SELECT 'live' AS list, NULL::date AS day, team_id, NULL::uuid AS assigned_to, count
              FROM grouped WHERE state IN ('open', 'in_progress')
             UNION ALL
            SELECT 'assigned', NULL, team_id, assigned_to, count
              FROM grouped WHERE state IN ('open', 'in_progress')
             UNION ALL
            SELECT state, day, team_id, NULL, count
              FROM grouped WHERE state IN ('resolved', 'trash')
        )"""
"""What the counts have to come to, from the whole table."""


class Row(Struct, frozen=True):
    """Of a team, or with `is_total` of all that may be seen. None: not counted yet."""

    is_total: bool
    team_id: UUID | None
    name: str | None
    mine: int | None
    unassigned: int | None
    open: int | None
    resolved: int | None
    trash: int | None
    is_exact: bool


class Count(Struct, frozen=True):
    """So many tickets; with the place that the feed had then."""

    tx: int
    id: int
    list: str | None
    day: date | None
    team_id: UUID | None
    assigned_to: UUID | None
    count: int


async def lists(
    db: Db, *, agent_id: UUID | None, teams: frozenset[UUID] | None, since: date, most: int
) -> list[Row]:
    """
    How many tickets there are in each list that one who is in `teams` sees, the total first; of
    teams, those that the agent is in, or else all that may be seen, at most `most`.

    What the reader has counted up to its place, and what has happened since, in one snapshot;
    None where it has not begun yet.
    """
    return await db.all(
        Row,
        f"""
        WITH reader AS (
            SELECT tx, id FROM readers WHERE name = '{READER}'
        ), news AS MATERIALIZED (
            SELECT step.list, step.day, step.team_id, step.assigned_to, step.count
              FROM reader
             CROSS JOIN LATERAL
                   (SELECT list, day, team_id, assigned_to, count
                      FROM ticket_steps
                     WHERE (ticket_steps.tx, ticket_steps.id) > (reader.tx, reader.id)
                  ORDER BY ticket_steps.tx, ticket_steps.id
                     LIMIT {NEWS}) AS step
        ), listed AS (
            SELECT list, day, team_id, assigned_to, count
              FROM ticket_counts
             WHERE list IN ('live', 'trash')
             UNION ALL
            SELECT list, day, team_id, assigned_to, count
              FROM ticket_counts
             WHERE list = 'assigned' AND assigned_to IS NULL
             UNION ALL
            SELECT list, day, team_id, assigned_to, count
              FROM ticket_counts
             WHERE list = 'assigned' AND assigned_to = $1
             UNION ALL
            SELECT list, day, team_id, assigned_to, count
              FROM ticket_counts
             WHERE list = 'resolved' AND assigned_to IS NULL AND day >= $3
             UNION ALL
            SELECT list, day, team_id, assigned_to, count
              FROM news
             WHERE day IS NULL OR day >= $3
        ), summed AS MATERIALIZED (
            SELECT grouping(team_id) = 1 AS is_total,
                   team_id,
                   sum(count) FILTER (WHERE list = 'assigned' AND assigned_to = $1) AS mine,
                   sum(count) FILTER (WHERE list = 'assigned' AND assigned_to IS NULL)
                       AS unassigned,
                   sum(count) FILTER (WHERE list = 'live') AS open,
                   sum(count) FILTER (WHERE list = 'resolved') AS resolved,
                   sum(count) FILTER (WHERE list = 'trash') AS trash
              FROM listed
             WHERE {visible("$2::uuid[]")}
          GROUP BY GROUPING SETS ((), (team_id))
        ), own AS (
            SELECT team_id FROM team_members WHERE agent_id = $1
        ), shown AS (
            SELECT true AS is_total, NULL::uuid AS team_id, NULL AS name
             UNION ALL
            (SELECT false, id, name
               FROM teams
              WHERE {visible("$2::uuid[]", "id")}
                AND (id IN (SELECT team_id FROM own) OR NOT EXISTS (SELECT FROM own))
           ORDER BY name, id
              LIMIT $4)
        )
        SELECT shown.is_total, shown.team_id, shown.name,
               CASE WHEN begun.is_so THEN coalesce(mine, 0)::bigint END AS mine,
               CASE WHEN begun.is_so THEN coalesce(unassigned, 0)::bigint END AS unassigned,
               CASE WHEN begun.is_so THEN coalesce(open, 0)::bigint END AS open,
               CASE WHEN begun.is_so THEN coalesce(resolved, 0)::bigint END AS resolved,
               CASE WHEN begun.is_so THEN coalesce(trash, 0)::bigint END AS trash,
               (SELECT count(*) FROM news) < {NEWS} AS is_exact
          FROM shown
         CROSS JOIN (SELECT EXISTS (SELECT FROM reader) AS is_so) AS begun
          LEFT JOIN summed ON summed.is_total = shown.is_total
                          AND summed.team_id IS NOT DISTINCT FROM shown.team_id
      ORDER BY shown.is_total DESC, shown.name, shown.team_id
        """,
        agent_id,
        teams,
        since,
        most,
    )


async def count_anew(db: Db) -> list[Count]:
    """
    All tickets, as they were at the newest settled place of the feed: as they are in this very
    snapshot, less what it shows of facts after that place. Reads the whole table.
    """
    return await db.all(
        Count,
        f"""
        WITH place AS MATERIALIZED (
            SELECT coalesce(newest.tx, 0) AS tx, coalesce(newest.id, 0) AS id
              FROM (SELECT) AS always
              LEFT JOIN (SELECT tx, id
                           FROM events
                          WHERE tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                                     + feed_offset()
                       ORDER BY tx DESC, id DESC
                          LIMIT 1) AS newest ON true
        ), {TICKETS}, found AS (
            SELECT list, day, team_id, assigned_to, count FROM tickets_now
             UNION ALL
            SELECT step.list, step.day, step.team_id, step.assigned_to, -step.count
              FROM place
             CROSS JOIN LATERAL
                   (SELECT list, day, team_id, assigned_to, count
                      FROM ticket_steps
                     WHERE (ticket_steps.tx, ticket_steps.id) > (place.tx, place.id)) AS step
        ), summed AS (
            SELECT list, day, team_id, assigned_to, sum(count)::integer AS count
              FROM found
          GROUP BY list, day, team_id, assigned_to
            HAVING sum(count) <> 0
        )
        SELECT place.tx, place.id, list, day, team_id, assigned_to, coalesce(count, 0) AS count
          FROM place LEFT JOIN summed ON true
        """,
    )


async def begin(db: Db, place: Place) -> bool:
    """The reader begins there; false when another process was first."""
    return bool(
        await db.run(
            f"""
            INSERT INTO readers (name, tx, id) VALUES ('{READER}', $1, $2)
            ON CONFLICT ON CONSTRAINT readers_named_once DO NOTHING
            """,
            place.tx,
            place.id,
        )
    )


async def put(db: Db, counts: Sequence[Count]) -> None:
    """In the place of all that was counted before."""
    known = [each for each in counts if each.list is not None]
    await db.run("DELETE FROM ticket_counts")
    await db.run(
        """
        INSERT INTO ticket_counts (list, day, team_id, assigned_to, count)
             SELECT list, day, team_id, assigned_to, count
               FROM unnest($1::text[], $2::date[], $3::uuid[], $4::uuid[], $5::integer[])
                    AS found (list, day, team_id, assigned_to, count)
        """,
        [each.list for each in known],
        [each.day for each in known],
        [each.team_id for each in known],
        [each.assigned_to for each in known],
        [each.count for each in known],
    )


async def add(db: Db, after: Place, end: Place) -> None:
    """What the facts after one place, up to and with another, take away and add."""
    await db.run(
        """
        INSERT INTO ticket_counts (list, day, team_id, assigned_to, count)
             SELECT list, day, team_id, assigned_to, sum(count)
               FROM ticket_steps
              WHERE (ticket_steps.tx, ticket_steps.id) > ($1, $2)
                AND (ticket_steps.tx, ticket_steps.id) <= ($3, $4)
           GROUP BY list, day, team_id, assigned_to
             HAVING sum(count) <> 0
           ORDER BY list, day, team_id, assigned_to
        ON CONFLICT ON CONSTRAINT ticket_counts_each_once DO UPDATE
                SET count = ticket_counts.count + excluded.count
        """,
        after.tx,
        after.id,
        end.tx,
        end.id,
    )


async def differing(db: Db) -> int:
    """
    How many counts are not as the tickets are, reader and news taken together. Reads the whole
    table. Zero where nothing has been counted yet.
    """
    found: int = await db.value(
        f"""
        WITH reader AS (
            SELECT tx, id FROM readers WHERE name = '{READER}'
        ), {TICKETS}, found AS (
            SELECT list, day, team_id, assigned_to, count FROM tickets_now
             UNION ALL
            SELECT list, day, team_id, assigned_to, -count FROM ticket_counts
             UNION ALL
            SELECT step.list, step.day, step.team_id, step.assigned_to, -step.count
              FROM reader
             CROSS JOIN LATERAL
                   (SELECT list, day, team_id, assigned_to, count
                      FROM ticket_steps
                     WHERE (ticket_steps.tx, ticket_steps.id) > (reader.tx, reader.id)) AS step
        )
        SELECT count(*)
          FROM (SELECT FROM found
              GROUP BY list, day, team_id, assigned_to
                HAVING sum(count) <> 0) AS wrong
         WHERE EXISTS (SELECT FROM reader)
        """
    )
    return found


async def forget(db: Db) -> Any:
    """Everything is counted anew next."""
    return await db.run(f"DELETE FROM readers WHERE name = '{READER}'")
