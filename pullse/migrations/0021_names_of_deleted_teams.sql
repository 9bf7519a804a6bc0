-- no-transaction
-- What a team was called that is gone, for the history of its tickets.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_of_deleted_teams
    ON events ((data->>'team_id')) WHERE name = 'team.deleted';
