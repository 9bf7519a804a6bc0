"""Readers of facts that count: how many there are of what, and how long things took."""
