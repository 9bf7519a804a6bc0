"""The application as `pullse serve` has it, for people with browsers."""

from tests.access.conftest import finder, served

__all__ = ["finder", "served"]
