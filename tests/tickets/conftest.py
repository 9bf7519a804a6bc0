from tests.api.emptying import database_url, kept_url

__all__ = ["database_url", "kept_url"]
