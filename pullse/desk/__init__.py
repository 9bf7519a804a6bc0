"""The workspace: the pages on which agents work, by the same verbs and queries as the API."""
