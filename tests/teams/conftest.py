"""The application as `pullse serve` has it, with people in and out of a private team."""

from tests.access.conftest import finder, served

__all__ = ["finder", "served"]
