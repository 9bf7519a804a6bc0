-- no-transaction
-- Who may see tickets of every private team, by name, among all agents.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_who_see_all ON agents (name, id)
    WHERE deleted_at IS NULL AND role IN ('owner', 'admin');
