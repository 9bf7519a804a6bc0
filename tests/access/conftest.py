"""The application as `pullse serve` has it: nobody is let in without a token."""

from collections.abc import AsyncIterator

import httpx
import pytest

from pullse import app
from pullse.access.finder import Finder, SessionFinder
from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, hire
from tests.access.sign_in import browser
from tests.access.single_sign_on import Clock, edge_with, settings
from tests.conftest import SECRET
from tests.standins.oidc import Provider, providing


@pytest.fixture
def finder(database: Database) -> Finder:
    return Finder(database)


@pytest.fixture
def served(database: Database, tail: Tail, finder: Finder) -> Edge:
    return app.build(
        database,
        tail,
        BearerToken(OPERATORS, find=finder, find_session=SessionFinder(database)),
        secret=Secret(SECRET),
    )


@pytest.fixture
def clock() -> Clock:
    """Of what is remembered of a provider."""
    return Clock()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """An OpenID provider, which knows Ada."""
    async with providing() as provider:
        yield provider


@pytest.fixture
async def corp(database: Database, tail: Tail, provider: Provider, clock: Clock) -> Edge:
    """One where Ada is let in by the provider, if all is well."""
    await hire(database, "Ada")
    return edge_with(database, tail, Live(settings(provider), clock=clock))


@pytest.fixture
async def person(corp: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """A browser there."""
    async with browser(corp) as client:
        yield client
