"""The application as `pullse serve` has it, for people with browsers."""

from tests.access.conftest import clock, corp, finder, provider, served

__all__ = ["clock", "corp", "finder", "provider", "served"]
