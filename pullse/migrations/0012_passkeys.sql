-- Passkeys, how everybody has to sign in, and what each session was begun by.
SET LOCAL lock_timeout = '5s';

CREATE TABLE passkeys (
    id            uuid        NOT NULL CONSTRAINT passkeys_pkey PRIMARY KEY,
    agent_id      uuid        NOT NULL CONSTRAINT passkeys_of_an_agent REFERENCES agents (id),
    credential_id bytea       NOT NULL CONSTRAINT passkeys_credential_unique UNIQUE,
    -- COSE, as the authenticator gave it
    public_key    bytea       NOT NULL,
    -- under which the authenticator keeps it
    user_handle   bytea       NOT NULL,
    -- the name that the page had; good at no other
    host          text        NOT NULL,
    name          text        NOT NULL CONSTRAINT passkeys_name_fits CHECK (length(name) BETWEEN 1 AND 200),
    transports    text[]      NOT NULL DEFAULT '{}',
    is_synced     boolean     NOT NULL,
    -- rises with each use, or is 0 for good; one that falls is a copy's
    sign_count    bigint      NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz
);
CREATE INDEX passkeys_by_agent ON passkeys (agent_id, created_at);
ALTER TABLE passkeys ENABLE ROW LEVEL SECURITY;

-- What an authenticator is to sign, once; only its SHA-256 is here.
CREATE TABLE passkey_challenges (
    hash        bytea       NOT NULL CONSTRAINT passkey_challenges_pkey PRIMARY KEY,
    purpose     text        NOT NULL CONSTRAINT passkey_challenges_purpose_known CHECK (purpose IN ('add', 'link', 'sign_in')),
    -- the session, the link, or from where
    made_for    text        NOT NULL,
    user_handle bytea,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX passkey_challenges_by_maker ON passkey_challenges (made_for, expires_at);
CREATE INDEX passkey_challenges_by_age ON passkey_challenges (expires_at);
ALTER TABLE passkey_challenges ENABLE ROW LEVEL SECURITY;

-- One row, or none: nothing is required then.
CREATE TABLE policies (
    is_only        boolean NOT NULL DEFAULT true CONSTRAINT policies_pkey PRIMARY KEY
        CONSTRAINT policies_are_one_row CHECK (is_only),
    second_factor  boolean NOT NULL DEFAULT false,
    single_sign_on boolean NOT NULL DEFAULT false
);
ALTER TABLE policies ENABLE ROW LEVEL SECURITY;

-- Both are empty of sessions that the release before begins.
ALTER TABLE sessions
    ADD COLUMN means text[] NOT NULL DEFAULT '{}',
    -- a session is good for this role and those below it
    ADD COLUMN role  text
        CONSTRAINT sessions_role_known CHECK (role IN ('owner', 'admin', 'agent', 'collaborator', 'read_only'));
