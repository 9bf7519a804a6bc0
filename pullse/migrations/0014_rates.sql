-- How many requests an actor has made of late, in all processes together.
SET LOCAL lock_timeout = '5s';

-- Unlogged: after a crash of PostgreSQL it is empty, and knows again what the processes know.
CREATE UNLOGGED TABLE request_rates (
    actor text             NOT NULL CONSTRAINT request_rates_pkey PRIMARY KEY,
    -- requests, less what has come back until then
    spent double precision NOT NULL CONSTRAINT request_rates_spent_not_negative CHECK (spent >= 0),
    -- of them, those that the process that came last told of
    told  integer          NOT NULL,
    at    timestamptz      NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE request_rates ENABLE ROW LEVEL SECURITY;
