-- The log of facts, who has read how far, work for later, and answers kept for repeats.
-- Row level security without policies: only the owner reads; Supabase's public API sees nothing.
SET LOCAL lock_timeout = '5s';

-- Constants that `pullse restore` and `migrate` replace when the data moves to another
-- cluster, so that `tx` goes on rising and old cursors are told to start over.
-- See docs/decisions/0004-facts-survive-a-move.md.
CREATE FUNCTION feed_epoch() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1';
CREATE FUNCTION feed_offset() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 0::bigint';

CREATE TABLE events (
    tx         bigint      NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + feed_offset()),
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL,
    ticket_id  uuid,
    actor      text        NOT NULL,
    data       jsonb       NOT NULL DEFAULT '{}',
    request_id text,
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT events_in_reading_order PRIMARY KEY (tx, id)
);
CREATE INDEX events_by_ticket ON events (ticket_id, tx, id) WHERE ticket_id IS NOT NULL;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;

CREATE TABLE readers (
    name text   NOT NULL CONSTRAINT readers_named_once PRIMARY KEY,
    tx   bigint NOT NULL DEFAULT 0,
    id   bigint NOT NULL DEFAULT 0,
    -- what keeps the reader from going on, for /health/ready
    error text
);
ALTER TABLE readers ENABLE ROW LEVEL SECURITY;

CREATE TABLE jobs (
    id           bigint      NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT jobs_pkey PRIMARY KEY,
    name         text        NOT NULL,
    args         jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    attempts     integer     NOT NULL DEFAULT 0,
    error        text,
    dead_at      timestamptz,
    request_id   text
);
CREATE INDEX jobs_due ON jobs (due_at, id) WHERE dead_at IS NULL;
CREATE INDEX jobs_dead ON jobs (dead_at, id) WHERE dead_at IS NOT NULL;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;

CREATE TABLE schedules (
    name    text        NOT NULL CONSTRAINT schedules_named_once PRIMARY KEY,
    last_at timestamptz NOT NULL
);
ALTER TABLE schedules ENABLE ROW LEVEL SECURITY;

CREATE TABLE idempotency_keys (
    caller      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      integer,
    headers     jsonb,
    body        bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_used_once PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
