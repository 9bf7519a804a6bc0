-- The built-in gateway: keys, the log of free channels and of presence, who is connected and present.
SET LOCAL lock_timeout = '5s';

-- No secret is kept: each key's is derived from the installation's secret and the key's name.
CREATE TABLE realtime_keys (
    name         text        NOT NULL CONSTRAINT realtime_keys_pkey PRIMARY KEY,
    app          text        NOT NULL,
    capability   jsonb       NOT NULL,
    is_revocable boolean     NOT NULL DEFAULT false,
    note         text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
ALTER TABLE realtime_keys ENABLE ROW LEVEL SECURITY;

-- Tells a process that it was given another secret than the keys were made with.
CREATE TABLE realtime_secret (
    is_only     boolean NOT NULL DEFAULT true CONSTRAINT realtime_secret_is_one PRIMARY KEY
                        CONSTRAINT realtime_secret_is_no_other CHECK (is_only),
    fingerprint bytea   NOT NULL
);
ALTER TABLE realtime_secret ENABLE ROW LEVEL SECURITY;

-- Token requests that were used; kept for as long as their timestamps are accepted.
CREATE TABLE realtime_nonces (
    key_name text        NOT NULL,
    nonce    text        NOT NULL,
    stamp    bigint      NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT realtime_nonces_used_once PRIMARY KEY (key_name, nonce, stamp)
);
CREATE INDEX realtime_nonces_by_age ON realtime_nonces (at);
ALTER TABLE realtime_nonces ENABLE ROW LEVEL SECURITY;

CREATE TABLE realtime_revocations (
    id            bigint      NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT realtime_revocations_pkey PRIMARY KEY,
    key_name      text        NOT NULL,
    -- "clientId:x", "revocationKey:x" or "channel:x"
    target        text        NOT NULL,
    -- milliseconds since 1970, as in the tokens
    issued_before bigint      NOT NULL,
    has_margin    boolean     NOT NULL DEFAULT false,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX realtime_revocations_by_age ON realtime_revocations (at);
ALTER TABLE realtime_revocations ENABLE ROW LEVEL SECURITY;

-- Read as `events` is: in the order (tx, id), below the oldest transaction that still runs.
CREATE TABLE channel_messages (
    tx      bigint      NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + feed_offset()),
    id      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    channel text        NOT NULL,
    -- 0: a message; of presence 2 enter, 3 leave, 4 update
    action  smallint    NOT NULL,
    -- '=' and the id that a client gave, or '~' and the one that the gateway made
    once    text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    -- MessagePack, see gateway/log.py
    body    bytea       NOT NULL,
    CONSTRAINT channel_messages_in_reading_order PRIMARY KEY (tx, id)
);
-- The id first, so that the planner never takes this one to read a channel.
CREATE UNIQUE INDEX channel_messages_once ON channel_messages (once, channel) WHERE action = 0;
CREATE INDEX channel_messages_by_channel ON channel_messages (channel, tx, id);
ALTER TABLE channel_messages ENABLE ROW LEVEL SECURITY;

-- Up to here messages are gone by age: a client that was last further back has lost some.
CREATE TABLE channel_horizon (
    is_only boolean NOT NULL DEFAULT true CONSTRAINT channel_horizon_is_one PRIMARY KEY
                    CONSTRAINT channel_horizon_is_no_other CHECK (is_only),
    tx      bigint  NOT NULL,
    id      bigint  NOT NULL
);
INSERT INTO channel_horizon (tx, id) VALUES (0, 0);
ALTER TABLE channel_horizon ENABLE ROW LEVEL SECURITY;

CREATE TABLE gateway_processes (
    id      uuid        NOT NULL CONSTRAINT gateway_processes_pkey PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE gateway_processes ENABLE ROW LEVEL SECURITY;

-- A connection outlives its socket by two minutes, and its process.
CREATE TABLE gateway_connections (
    id         text        NOT NULL CONSTRAINT gateway_connections_pkey PRIMARY KEY,
    app        text        NOT NULL,
    process    uuid        NOT NULL,
    -- of the secret part of the connection key
    key_hash   bytea       NOT NULL,
    key_name   text        NOT NULL,
    client_id  text,
    -- milliseconds for which its members stay after an abrupt end
    remain     integer     NOT NULL DEFAULT 15000,
    dropped_at timestamptz,
    -- its members have left
    is_left    boolean     NOT NULL DEFAULT false
);
CREATE INDEX gateway_connections_by_process ON gateway_connections (process);
CREATE INDEX gateway_connections_dropped ON gateway_connections (dropped_at) WHERE dropped_at IS NOT NULL;
CREATE INDEX gateway_connections_leaving ON gateway_connections (dropped_at)
    WHERE dropped_at IS NOT NULL AND NOT is_left;
ALTER TABLE gateway_connections ENABLE ROW LEVEL SECURITY;

CREATE TABLE channel_members (
    channel       text        NOT NULL,
    client_id     text        NOT NULL,
    connection_id text        NOT NULL,
    message_id    text        NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    body          bytea       NOT NULL,
    CONSTRAINT channel_members_pkey PRIMARY KEY (channel, client_id, connection_id)
);
CREATE INDEX channel_members_by_connection ON channel_members (connection_id);
ALTER TABLE channel_members ENABLE ROW LEVEL SECURITY;

-- How many of a process's connections are attached to a channel, as it was a moment ago.
CREATE TABLE channel_occupancy (
    channel     text    NOT NULL,
    process     uuid    NOT NULL CONSTRAINT channel_occupancy_of_a_process
                        REFERENCES gateway_processes (id) ON DELETE CASCADE,
    connections integer NOT NULL,
    publishers  integer NOT NULL,
    subscribers integer NOT NULL,
    presence_connections integer NOT NULL,
    presence_subscribers integer NOT NULL,
    CONSTRAINT channel_occupancy_pkey PRIMARY KEY (channel, process)
);
CREATE INDEX channel_occupancy_by_process ON channel_occupancy (process);
ALTER TABLE channel_occupancy ENABLE ROW LEVEL SECURITY;
