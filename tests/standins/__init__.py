"""Small servers that stand in for services of others, as processes that a test can kill."""
