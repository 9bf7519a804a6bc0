-- Teams of agents. A ticket may belong to one; a private team's are for its members alone.
SET LOCAL lock_timeout = '5s';

CREATE TABLE teams (
    id         uuid        NOT NULL CONSTRAINT teams_pkey PRIMARY KEY,
    name       text        NOT NULL CONSTRAINT teams_name_not_blank CHECK (name <> ''),
    is_private boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    integer     NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX teams_name_unique ON teams (lower(name));
CREATE INDEX teams_by_name ON teams (name, id);
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;

CREATE TABLE team_members (
    team_id   uuid        NOT NULL CONSTRAINT team_members_of_a_team REFERENCES teams (id) ON DELETE CASCADE,
    agent_id  uuid        NOT NULL CONSTRAINT team_members_are_agents REFERENCES agents (id),
    joined_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT team_members_once_in_a_team PRIMARY KEY (team_id, agent_id)
);
CREATE INDEX team_members_by_agent ON team_members (agent_id);
ALTER TABLE team_members ENABLE ROW LEVEL SECURITY;

-- Checked for new rows at once; in all others the column is null.
ALTER TABLE tickets
    ADD COLUMN team_id uuid,
    ADD CONSTRAINT tickets_belong_to_a_team FOREIGN KEY (team_id) REFERENCES teams (id) NOT VALID;

-- The team that the ticket belonged to when the fact was recorded.
ALTER TABLE events ADD COLUMN team_id uuid;

-- Facts with the circle of those who may read them: the private team that the ticket belongs to
-- now, or null for everybody who may read the feed. Of a ticket that was purged it is the team
-- of that time; if that is gone too, it can't be told whether it was private: nobody is in it.
-- With the rights of who asks, so that row level security holds here too.
CREATE VIEW facts WITH (security_invoker = true) AS
    SELECT events.tx, events.id, events.name, events.ticket_id, events.team_id, events.actor,
           events.data, events.request_id, events.at,
           CASE WHEN teams.is_private THEN teams.id
                WHEN teams.id IS NULL AND tickets.id IS NULL THEN events.team_id END AS circle
      FROM events
      LEFT JOIN tickets ON tickets.id = events.ticket_id
      LEFT JOIN teams ON teams.id = CASE WHEN tickets.id IS NULL THEN events.team_id
                                         ELSE tickets.team_id END;
