SET LOCAL lock_timeout = '5s';

CREATE TABLE agents (
    id         uuid        NOT NULL CONSTRAINT agents_pkey PRIMARY KEY,
    name       text        NOT NULL CONSTRAINT agents_name_not_blank CHECK (name <> ''),
    email      text        NOT NULL CONSTRAINT agents_email_not_blank CHECK (email <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    integer     NOT NULL DEFAULT 1,
    deleted_at timestamptz
);
-- The address of an agent who has left may be given again.
CREATE UNIQUE INDEX agents_email_unique ON agents (lower(email)) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_name ON agents (name, id) WHERE deleted_at IS NULL;
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
