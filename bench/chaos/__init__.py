"""Nothing is lost: kill -9 under load, twenty times, then count. `python -m bench.chaos`."""
