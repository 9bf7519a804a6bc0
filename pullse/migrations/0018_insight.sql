-- How long things took, and how many there were on which day; see docs/api/insight.md.
SET LOCAL lock_timeout = '5s';

-- What the reader `insight` knows of a ticket, as of its place in the feed.
CREATE TABLE ticket_marks (
    ticket_id   uuid        NOT NULL CONSTRAINT ticket_marks_pkey PRIMARY KEY,
    team_id     uuid,
    assigned_to uuid,
    status      text        NOT NULL,
    priority    text        NOT NULL,
    is_deleted  boolean     NOT NULL,
    created_at  timestamptz NOT NULL,
    -- to anybody, for the first time
    assigned_at timestamptz,
    -- since when it has been resolved or closed
    resolved_at timestamptz
) WITH (fillfactor = 80);
ALTER TABLE ticket_marks ENABLE ROW LEVEL SECURITY;

-- Days in UTC. `bucket` is the priority's urgency of what is not done yet (by the day on which it
-- was created), and of what was assigned or resolved on that day how long that took (see
-- reports/durations.py).
CREATE TABLE ticket_rollups (
    id          bigint   NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT ticket_rollups_pkey PRIMARY KEY,
    measure     text     NOT NULL
                         CONSTRAINT ticket_rollups_measure_known CHECK (measure IN ('created', 'assigned', 'resolved', 'backlog')),
    day         date     NOT NULL,
    team_id     uuid,
    assigned_to uuid,
    bucket      smallint NOT NULL,
    count       integer  NOT NULL,
    CONSTRAINT ticket_rollups_each_once UNIQUE NULLS NOT DISTINCT (measure, day, team_id, assigned_to, bucket)
) WITH (fillfactor = 80);
ALTER TABLE ticket_rollups ENABLE ROW LEVEL SECURITY;
