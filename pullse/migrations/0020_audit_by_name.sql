-- no-transaction
-- Where something of a kind was done, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_by_name ON audit (name, day, number);
