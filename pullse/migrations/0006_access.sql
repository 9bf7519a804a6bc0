-- Roles of agents, tokens for programs, and the chained record of who was let do what.
SET LOCAL lock_timeout = '5s';

ALTER TABLE agents
    ADD COLUMN role  text NOT NULL DEFAULT 'agent'
        CONSTRAINT agents_role_known CHECK (role IN ('owner', 'admin', 'agent', 'collaborator', 'read_only')),
    ADD COLUMN state text NOT NULL DEFAULT 'invited'
        CONSTRAINT agents_state_known CHECK (state IN ('invited', 'active', 'disabled'));

-- The token itself is shown once and kept nowhere: only its SHA-256 is here.
CREATE TABLE api_tokens (
    id           uuid        NOT NULL CONSTRAINT api_tokens_pkey PRIMARY KEY,
    name         text        NOT NULL CONSTRAINT api_tokens_name_fits CHECK (length(name) BETWEEN 1 AND 200),
    hash         bytea       NOT NULL CONSTRAINT api_tokens_hash_unique UNIQUE,
    -- null: a service's, which has a role of its own
    agent_id     uuid        CONSTRAINT api_tokens_of_an_agent REFERENCES agents (id),
    role         text        CONSTRAINT api_tokens_role_known CHECK (role IN ('owner', 'admin', 'agent', 'collaborator', 'read_only')),
    -- permissions at most; none: all of the role
    scopes       text[]      NOT NULL DEFAULT '{}',
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_tokens_of_an_agent_or_a_service CHECK ((agent_id IS NULL) <> (role IS NULL))
);
CREATE INDEX api_tokens_by_agent ON api_tokens (agent_id, created_at);
ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;

-- Each row has the hash of the one before in its own, so an edit or a removal shows.
CREATE TABLE audit (
    day        date        NOT NULL,
    number     bigint      NOT NULL,
    at         timestamptz NOT NULL,
    name       text        NOT NULL,
    actor      text        NOT NULL,
    address    text,
    request_id text,
    data       jsonb       NOT NULL DEFAULT '{}',
    hash       bytea       NOT NULL,
    CONSTRAINT audit_in_order PRIMARY KEY (day, number)
);
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
