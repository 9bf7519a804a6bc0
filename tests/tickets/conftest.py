"""The application as `pullse serve` has it, for who may not see every ticket."""

from tests.access.conftest import finder, served

__all__ = ["finder", "served"]
