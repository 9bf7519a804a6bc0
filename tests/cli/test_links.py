"""Commands that make a link say the address of its page."""

import asyncio

import pytest

from tests.cli.conftest import Pullse

HERE = "http://127.0.0.1:3000"
BEHIND = {"PULLSE_HOSTS": "help.example.com,old.example.com", "PULLSE_PROXIES": "10.0.0.7"}


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, HERE),
        ({"PORT": "8080"}, "http://127.0.0.1:8080"),
        ({"PULLSE_HOSTS": "help.example.com"}, "http://help.example.com:3000"),
        (BEHIND, "https://help.example.com"),
    ],
)
async def test_the_address_is_where_browsers_are_thought_to_be(
    settings: dict[str, str], base: str, pullse: Pullse, database_url: str
) -> None:
    for words in (["setup"], ["agents", "invite", "ada@example.org"]):
        done = await asyncio.to_thread(pullse, *words, DATABASE_URL=database_url, **settings)
        assert done.exit_code == 0, done.output
        address, sentence = done.output.strip().split("\n")
        start, _, token = address.rpartition("/")
        assert start == f"{base}/links"
        assert len(token) == 43
        assert sentence.startswith("This ")
        assert "/api/links/" in sentence
