"""What the embedded PostgreSQL says when it can't be had."""


class Unavailable(Exception):
    """Its message is for the operator: what is wrong, and what to do about it."""
