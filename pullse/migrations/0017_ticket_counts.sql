-- How many tickets there are of what, for the lists in the side bar; see decisions/0016.
SET LOCAL lock_timeout = '5s';

-- As of the place of the reader `counts`. `live`: open or in progress, by team; `assigned`: the same
-- by team and agent, null for nobody; `resolved`: by team and the day (UTC) of the last change;
-- `trash`: by team.
CREATE TABLE ticket_counts (
    id          bigint  NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT ticket_counts_pkey PRIMARY KEY,
    list        text    NOT NULL
                        CONSTRAINT ticket_counts_list_known CHECK (list IN ('live', 'assigned', 'resolved', 'trash')),
    day         date,
    team_id     uuid,
    assigned_to uuid,
    count       integer NOT NULL,
    CONSTRAINT ticket_counts_each_once UNIQUE NULLS NOT DISTINCT (list, assigned_to, day, team_id)
) WITH (fillfactor = 50);
ALTER TABLE ticket_counts ENABLE ROW LEVEL SECURITY;

-- What each fact takes from one count and adds to another. What a ticket was before is in the
-- fact's changes; where they were erased with the ticket, or do not tell (the day of the change
-- before), it is in the fact before.
CREATE VIEW ticket_steps WITH (security_invoker = true) AS
    SELECT fact.tx, fact.id, counted.list, counted.day, step.team_id, counted.assigned_to, step.count
      FROM events AS fact
     CROSS JOIN LATERAL (
           SELECT fact.data->'changes' AS changes,
                  fact.name = 'ticket.changed' AND NOT fact.data ? 'changes' AS is_erased,
                  coalesce(fact.data->'changes'->'status'->>0, fact.data->>'status') AS status
           ) AS old
      LEFT JOIN LATERAL (
           SELECT events.data, events.at
             FROM events
            WHERE fact.name IN ('ticket.changed', 'ticket.deleted')
              AND (old.is_erased OR old.status = 'resolved')
              AND events.ticket_id = fact.ticket_id
              AND (events.tx, events.id) < (fact.tx, fact.id)
              AND events.name IN ('ticket.created', 'ticket.changed', 'ticket.restored')
         ORDER BY events.tx DESC, events.id DESC
            LIMIT 1
           ) AS before ON true
     CROSS JOIN LATERAL (
           SELECT CASE WHEN fact.name = 'ticket.deleted' THEN 'trash'
                       ELSE fact.data->>'status' END AS state,
                  fact.at,
                  (fact.data->>'team_id')::uuid AS team_id,
                  (fact.data->>'assigned_to')::uuid AS assigned_to,
                  1 AS count
            WHERE fact.name IN ('ticket.created', 'ticket.changed', 'ticket.deleted',
                                'ticket.restored')
            UNION ALL
           SELECT CASE WHEN old.is_erased THEN before.data->>'status' ELSE old.status END,
                  before.at,
                  CASE WHEN old.is_erased THEN (before.data->>'team_id')::uuid
                       WHEN old.changes ? 'team_id' THEN (old.changes->'team_id'->>0)::uuid
                       ELSE (fact.data->>'team_id')::uuid END,
                  CASE WHEN old.is_erased THEN (before.data->>'assigned_to')::uuid
                       WHEN old.changes ? 'assigned_to' THEN (old.changes->'assigned_to'->>0)::uuid
                       ELSE (fact.data->>'assigned_to')::uuid END,
                  -1
            WHERE fact.name IN ('ticket.changed', 'ticket.deleted')
              AND (before.data IS NOT NULL OR NOT old.is_erased)
            UNION ALL
           SELECT 'trash', NULL, fact.team_id, NULL, -1
            WHERE fact.name IN ('ticket.restored', 'ticket.purged')
           ) AS step
     CROSS JOIN LATERAL (
           SELECT 'live' AS list, NULL::date AS day, NULL::uuid AS assigned_to
            WHERE step.state IN ('open', 'in_progress')
            UNION ALL
           SELECT 'assigned', NULL, step.assigned_to
            WHERE step.state IN ('open', 'in_progress')
            UNION ALL
           SELECT 'resolved', (step.at AT TIME ZONE 'UTC')::date, NULL
            WHERE step.state = 'resolved'
            UNION ALL
           SELECT 'trash', NULL, NULL
            WHERE step.state = 'trash'
           ) AS counted;
