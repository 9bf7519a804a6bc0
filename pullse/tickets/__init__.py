"""Tickets: what people ask for, from the first word to closed, and the trash behind it."""
