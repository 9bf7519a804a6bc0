"""Pages for signing in, one's account, and who else is there; the first page."""

from pullse.access.pages import (
    account,
    agents,
    links,
    passkeys,
    second_factor,
    sessions,
    sign_in,
    start,
    tokens,
)
from pullse.web.frame import Place

pages = [
    *start.pages,
    *sign_in.pages,
    *links.pages,
    *account.pages,
    *second_factor.pages,
    *passkeys.pages,
    *sessions.pages,
    *tokens.pages,
    *agents.pages,
]
places = [
    Place("/", "places.start", "home", "me:read"),
    Place("/agents", "places.agents", "people", "agents:admin"),
    Place("/account", "places.account", "person", "sessions:own"),
]
