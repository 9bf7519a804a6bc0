-- no-transaction
-- The sessions of an agent that are not over, among all that it had in half a year.
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_open_by_agent ON sessions (agent_id, created_at) WHERE ended_at IS NULL;
