-- Accounts elsewhere by which agents sign in, and attempts to do so that are under way.
SET LOCAL lock_timeout = '5s';

CREATE TABLE identities (
    id           uuid        NOT NULL CONSTRAINT identities_pkey PRIMARY KEY,
    -- who somebody is, there and for good; an e-mail address may change
    issuer       text        NOT NULL CONSTRAINT identities_issuer_fits CHECK (length(issuer) BETWEEN 1 AND 1000),
    subject      text        NOT NULL CONSTRAINT identities_subject_fits CHECK (length(subject) BETWEEN 1 AND 255),
    agent_id     uuid        NOT NULL CONSTRAINT identities_of_an_agent REFERENCES agents (id),
    -- the verified address by which it was linked; it is shown, and opens nothing
    email        text        NOT NULL,
    linked_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identities_are_of_one_agent UNIQUE (issuer, subject)
);
CREATE INDEX identities_by_agent ON identities (agent_id, linked_at);
ALTER TABLE identities ENABLE ROW LEVEL SECURITY;

-- Neither the state nor the browser's secret is here, but their SHA-256. Nonce and PKCE verifier
-- are made from the browser's secret, so who reads this table can finish no attempt.
CREATE TABLE oidc_attempts (
    state_hash   bytea       NOT NULL CONSTRAINT oidc_attempts_pkey PRIMARY KEY,
    browser_hash bytea       NOT NULL,
    provider     text        NOT NULL,
    return_to    text        NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX oidc_attempts_by_age ON oidc_attempts (expires_at);
ALTER TABLE oidc_attempts ENABLE ROW LEVEL SECURITY;
