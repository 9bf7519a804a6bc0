"""Pages for signing in, one's account, and who else is there, in which teams."""

from pullse.access.pages import (
    account,
    acting,
    agents,
    audit,
    identities,
    links,
    passkeys,
    policies,
    second_factor,
    services,
    sessions,
    sign_in,
    teams,
    tokens,
)
from pullse.web.frame import Place

pages = [
    *sign_in.pages,
    *acting.pages,
    *links.pages,
    *account.pages,
    *second_factor.pages,
    *passkeys.pages,
    *identities.pages,
    *sessions.pages,
    *tokens.pages,
    *agents.pages,
    *teams.pages,
    *policies.pages,
    *services.pages,
    *audit.pages,
]
places = [
    Place("/agents", "places.agents", "people", "agents:admin", "admin", "g a"),
    Place("/teams", "places.teams", "team", "teams:admin", "admin", "g t"),
    Place("/policies", "places.policies", "shield", "policies:admin", "admin", "g p"),
    Place("/services", "places.services", "plug", "tokens:admin", "admin", "g s"),
    Place("/audit", "places.audit", "audit", "audit:read", "admin", "g d"),
    Place("/account", "places.account", "person", "sessions:own", "own", "g c"),
]
