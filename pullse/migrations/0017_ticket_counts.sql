-- How many tickets there are of what, for the lists in the side bar; see decisions/0016.
SET LOCAL lock_timeout = '5s';

-- As of the place of the reader `counts`. In the trash only the team counts; an agent counts for
-- what is open or in progress; `day` (UTC) is that of the last change, of resolved tickets alone.
CREATE TABLE ticket_counts (
    id          bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT ticket_counts_pkey PRIMARY KEY,
    state       text   NOT NULL
                       CONSTRAINT ticket_counts_state_known CHECK (state IN ('open', 'in_progress', 'resolved', 'closed', 'trash')),
    day         date,
    team_id     uuid,
    assigned_to uuid,
    count       bigint NOT NULL,
    CONSTRAINT ticket_counts_each_once UNIQUE NULLS NOT DISTINCT (state, day, team_id, assigned_to)
) WITH (fillfactor = 50);
ALTER TABLE ticket_counts ENABLE ROW LEVEL SECURITY;

-- What each fact takes from one count and adds to another. What a ticket was before is in the
-- fact's changes; where they were erased with the ticket, or do not tell (the day of the change
-- before), it is in the fact before.
CREATE VIEW ticket_steps WITH (security_invoker = true) AS
    SELECT fact.tx, fact.id, step.state,
           CASE WHEN step.state = 'resolved' THEN (step.at AT TIME ZONE 'UTC')::date END AS day,
           step.team_id,
           CASE WHEN step.state IN ('open', 'in_progress') THEN step.assigned_to END AS assigned_to,
           step.count
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
     WHERE step.state IS NOT NULL;
