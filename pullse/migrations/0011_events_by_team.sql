-- no-transaction
-- The histories of a private team's channels.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_by_team
    ON events (team_id, tx, id) WHERE team_id IS NOT NULL;
