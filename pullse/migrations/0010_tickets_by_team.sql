-- no-transaction
-- With those in the trash: a team that is removed looks for all that is its own.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tickets_by_team
    ON tickets (team_id, status, created_at, id) WHERE team_id IS NOT NULL;
