"""The application as `pullse serve` has it: nobody is let in without a token."""

import pytest

from pullse import app
from pullse.access.finder import Finder, SessionFinder
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS
from tests.conftest import SECRET


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
