-- no-transaction
-- The history of tickets-updates: without it, a reader would pass over every other fact.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_public ON events (tx, id)
    WHERE (name = 'ticket.created' OR name = 'ticket.deleted'
           OR (name = 'ticket.changed' AND data->'changes' ? 'status'));
