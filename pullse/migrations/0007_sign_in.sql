-- How people show who they are: passwords, links that are used once, and sessions.
SET LOCAL lock_timeout = '5s';

CREATE TABLE passwords (
    agent_id uuid        NOT NULL CONSTRAINT passwords_pkey PRIMARY KEY
        CONSTRAINT passwords_of_an_agent REFERENCES agents (id),
    -- argon2id, with its salt and parameters
    hash     text        NOT NULL,
    set_at   timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE passwords ENABLE ROW LEVEL SECURITY;

-- The link's token is shown once and kept nowhere: only its SHA-256 is here.
CREATE TABLE links (
    hash       bytea       NOT NULL CONSTRAINT links_pkey PRIMARY KEY,
    purpose    text        NOT NULL CONSTRAINT links_purpose_known CHECK (purpose IN ('setup', 'invitation', 'reset')),
    agent_id   uuid        CONSTRAINT links_for_an_agent REFERENCES agents (id),
    made_by    text        NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT links_of_the_setup_are_for_nobody_yet CHECK ((purpose = 'setup') = (agent_id IS NULL))
);
CREATE INDEX links_by_agent ON links (agent_id);
ALTER TABLE links ENABLE ROW LEVEL SECURITY;

CREATE TABLE sessions (
    id           uuid        NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
    hash         bytea       NOT NULL CONSTRAINT sessions_hash_unique UNIQUE,
    agent_id     uuid        NOT NULL CONSTRAINT sessions_of_an_agent REFERENCES agents (id),
    -- of the cookie by which a browser is known again after it has signed out
    device_hash  bytea       NOT NULL,
    device       text        NOT NULL,
    address      text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz
);
CREATE INDEX sessions_by_agent ON sessions (agent_id, created_at);
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;

-- Attempts to sign in since the last success, for an account, an address or a known device.
CREATE TABLE sign_in_failures (
    key          text        NOT NULL CONSTRAINT sign_in_failures_pkey PRIMARY KEY,
    count        integer     NOT NULL CONSTRAINT sign_in_failures_count_positive CHECK (count > 0),
    paused_until timestamptz NOT NULL,
    last_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last_at);
ALTER TABLE sign_in_failures ENABLE ROW LEVEL SECURITY;

-- The secret has to be read to compare, so it is here as it is.
CREATE TABLE totp (
    agent_id     uuid        NOT NULL CONSTRAINT totp_pkey PRIMARY KEY
        CONSTRAINT totp_of_an_agent REFERENCES agents (id),
    secret       bytea       NOT NULL,
    -- the newest step whose code was taken: no code counts twice
    last_step    bigint      NOT NULL DEFAULT 0,
    made_at      timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz
);
ALTER TABLE totp ENABLE ROW LEVEL SECURITY;

CREATE TABLE recovery_codes (
    agent_id uuid        NOT NULL CONSTRAINT recovery_codes_of_an_agent REFERENCES agents (id),
    hash     bytea       NOT NULL,
    used_at  timestamptz,
    CONSTRAINT recovery_codes_once_for_an_agent PRIMARY KEY (agent_id, hash)
);
ALTER TABLE recovery_codes ENABLE ROW LEVEL SECURITY;
