"""
Names of channels, and what is said along with them.

`[?rewind=1]name` is the channel `name`, asked for with parameters. Of pullse's own app,
`tickets-updates`, `tickets-activity` and `ticket:<id>` are projections of the facts, on
which nobody else publishes, and so are those of the same names after `private:<team>:`, which
have what is private to a team. Nothing else begins with `private:`; any other name is free.
"""

import re
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

from pullse.gateway.errors import BAD_CHANNEL, BAD_PARAMETER, NOT_CAPABLE, Failure
from pullse.gateway.log import TICKET, kind_of, parted
from pullse.realtime.projection import PRIVATE, SHARED

NAME_AT_MOST = 1_024
"""Bytes. An index entry of PostgreSQL has less than 2,704, and this is not alone in some."""
ASKED_AT_MOST = 2 * NAME_AT_MOST
"""Characters of a name with what is said along with it; a connection keeps many of them."""
APART = "\x1f"
"""In the names of topics, before what is nobody's channel or that of another app."""
CONTROL = re.compile("[\x00-\x1f\x7f]")
QUALIFIER = re.compile(r"\[([^\]?]*)(?:\?([^\]]*))?\](.*)", re.DOTALL)
REWIND = re.compile(r"([0-9]{1,6})(s|m|h)?")
REWIND_AT_MOST = 100
UNITS = {"s": 1, "m": 60, "h": 3600}


class Channel(NamedTuple):
    """`asked` is the name as the client wrote it, which its answers repeat."""

    asked: str
    name: str
    params: dict[str, str]


class Rewind(NamedTuple):
    """The newest `most`, or those of the last `age`."""

    most: int
    age: timedelta | None


def parse(asked: str) -> Channel:
    """Raises Failure for what is no name of a channel."""
    if len(asked) > ASKED_AT_MOST:
        raise no_channel(asked, f"at most {ASKED_AT_MOST} characters with its parameters")
    name, params = asked, {}
    match = QUALIFIER.fullmatch(asked)
    if match is not None:
        namespace, query, name = match.groups()
        if namespace:  # [meta], [queue]: not served
            raise no_channel(asked, "there are no channels of this kind")
        params = dict(parse_qsl(query or "", keep_blank_values=True))
    if not name or name[0] in ":[" or len(name.encode()) > NAME_AT_MOST or CONTROL.search(name):
        raise no_channel(asked, f"1 to {NAME_AT_MOST} bytes, the first neither ':' nor '['")
    return Channel(asked, name, params)


def no_channel(asked: str, why: str) -> Failure:
    return Failure(BAD_CHANNEL, f"Invalid channel name {asked[:100]!r}: {why}.")


def check_topic(topic: str) -> None:
    """
    A ticket's channel has the ticket's id, as the API writes it; a team's has the team's, and
    then the name of one of tickets.
    """
    team, name = parted(topic)
    if name.startswith(TICKET):
        if not is_id(name.removeprefix(TICKET)):
            raise no_channel(topic, "ticket:<id> takes the id of a ticket")
    elif team is not None and name not in SHARED:
        names = f"{', '.join(SHARED)} or {TICKET}<id>"
        raise no_channel(topic, f"after {PRIVATE}<team>: comes {names}")
    if team is not None and not is_id(team):
        raise no_channel(topic, f"{PRIVATE}<team>: takes the id of a team")


def is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def is_projection(topic: str) -> bool:
    return kind_of(topic) != "messages"


def check_free(topic: str) -> None:
    """Raises Failure where only pullse itself publishes."""
    if is_projection(topic):
        raise Failure(
            NOT_CAPABLE, f"{topic} shows what happens to tickets; nobody publishes there."
        )


def rewind_of(params: dict[str, str]) -> Rewind | None:
    text = params.get("rewind")
    if text is None:
        return None
    match = REWIND.fullmatch(text)
    if match is None:
        raise Failure(BAD_PARAMETER, "rewind: a number of messages, or a time such as 30s or 2m.")
    number, unit = int(match[1]), match[2]
    if unit is None:
        return Rewind(min(number, REWIND_AT_MOST), None)
    return Rewind(REWIND_AT_MOST, timedelta(seconds=number * UNITS[unit]))
