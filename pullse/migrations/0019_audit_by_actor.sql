-- no-transaction
-- What somebody did, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_by_actor ON audit (actor, day, number);
