-- How agents want to see everything: theirs alone, no part of any other's page.
SET LOCAL lock_timeout = '5s';

CREATE TABLE preferences (
    -- an agent as facts name it, or "owner": who has the machine, in pullse dev
    actor      text        NOT NULL CONSTRAINT preferences_pkey PRIMARY KEY,
    agent_id   uuid        GENERATED ALWAYS AS (
        CASE WHEN actor LIKE 'agent:%' THEN substr(actor, 7)::uuid END
    ) STORED CONSTRAINT preferences_are_of_an_agent REFERENCES agents (id) ON DELETE CASCADE,
    -- empty, here and below: as the browser says
    look       text        NOT NULL CONSTRAINT preferences_look_known CHECK (look IN ('', 'light', 'dark')),
    contrast   text        NOT NULL CONSTRAINT preferences_contrast_known CHECK (contrast IN ('', 'more')),
    density    text        NOT NULL CONSTRAINT preferences_density_known CHECK (density IN ('comfortable', 'compact')),
    columns    text[]      NOT NULL CONSTRAINT preferences_columns_few CHECK (cardinality(columns) <= 40),
    language   text        NOT NULL,
    zone       text        NOT NULL CONSTRAINT preferences_zone_not_blank CHECK (zone <> ''),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX preferences_by_agent ON preferences (agent_id);
ALTER TABLE preferences ENABLE ROW LEVEL SECURITY;
