SET LOCAL lock_timeout = '5s';

CREATE TABLE tickets (
    id            uuid        NOT NULL CONSTRAINT tickets_pkey PRIMARY KEY,
    number        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY
                              CONSTRAINT tickets_number_unique UNIQUE,
    title         text        NOT NULL
                              CONSTRAINT tickets_title_fits CHECK (length(title) BETWEEN 1 AND 300),
    description   text        NOT NULL
                              CONSTRAINT tickets_description_fits CHECK (length(description) BETWEEN 1 AND 100000),
    status        text        NOT NULL DEFAULT 'open'
                              CONSTRAINT tickets_status_known CHECK (status IN ('open', 'in_progress', 'resolved', 'closed')),
    priority      text        NOT NULL DEFAULT 'low'
                              CONSTRAINT tickets_priority_known CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    urgency       smallint    NOT NULL GENERATED ALWAYS AS
                              (CASE priority WHEN 'urgent' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 ELSE 1 END) STORED,
    assigned_to   uuid        CONSTRAINT tickets_assigned_to_an_agent REFERENCES agents (id),
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    version       integer     NOT NULL DEFAULT 1,
    deleted_at    timestamptz,
    -- of its newest fact; see tickets/queries.py
    tx            bigint      NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + feed_offset()),
    -- Without _ @ and / as joints of words: looking for the end of a long address or path made
    -- of them takes PostgreSQL minutes (the square of its length). They join words by a comma.
    words         tsvector    NOT NULL GENERATED ALWAYS AS
                              (to_tsvector('pg_catalog.english', translate(title || ' ' || description, '_@/', ',,,'))) STORED
);
-- The list reads each status and urgency (or assignee) as a branch of its own and merges
-- them, so these few serve every filter and order; see tickets/listing.py.
CREATE INDEX tickets_by_created ON tickets (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tickets_by_status_created ON tickets (status, urgency, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tickets_by_status_updated ON tickets (status, urgency, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tickets_by_assignee ON tickets (assigned_to, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX tickets_by_words ON tickets USING gin (words);
-- At a million tickets the planner takes a rare word for a common one without these.
ALTER TABLE tickets ALTER COLUMN words SET STATISTICS 300;
CREATE INDEX tickets_in_trash ON tickets (deleted_at, id) WHERE deleted_at IS NOT NULL;
ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
