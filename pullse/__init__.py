"""pullse: a help desk on PostgreSQL alone."""

__version__ = "0.1.0"
