"""The same small API as it is usually written in Python, to compare with."""
