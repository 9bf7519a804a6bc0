"""The built-in gateway: real time for Ably's own clients, on PostgreSQL alone."""
