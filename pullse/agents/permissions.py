"""
The one table of permissions: what each role may do.

A call names the permission that it needs (`Call.permission`); a token has those of its role,
or fewer. `pullse roles` and docs/security.md show this table.
"""

from collections.abc import Container, Iterable

PERMISSIONS = {
    "me:read": "see who one is and what the API offers",
    "me:write": "say how one wants to see everything",
    "tickets:read": "read tickets, their history and the trash",
    "tickets:write": "create, change, delete and restore tickets",
    "tickets:private": "read and change the tickets of private teams without being in them",
    "agents:read": "read agents and teams",
    "agents:admin": "create and change agents, their roles and their state",
    "teams:admin": "create, change and remove teams, and say who is in them",
    "events:read": "read and follow the feed, and get tokens for the channels",
    "sessions:own": "see and end one's own sessions, and change one's password",
    "tokens:own": "make, see and revoke one's own API tokens",
    "tokens:admin": "make, see and revoke everybody's, and those of services",
    "policies:admin": "see and change how everybody has to sign in",
    "audit:read": "read the audit trail",
    "keys:admin": "see, make and revoke the keys of the gateway",
    "operations:read": "read metrics, and how pullse is",
    "operations:admin": "see, retry and delete jobs",
}
READING = frozenset(
    {
        "me:read",
        "me:write",
        "tickets:read",
        "agents:read",
        "events:read",
        "sessions:own",
        "tokens:own",
    }
)
WORKING = READING | {"tickets:write"}
EVERYTHING = frozenset(PERMISSIONS)
ENROLLING = frozenset({"me:read", "sessions:own"})
"""Of a session whose holder has to set up a second factor first."""

ROLES: dict[str, frozenset[str]] = {
    "owner": EVERYTHING,
    "admin": EVERYTHING,
    "agent": WORKING,
    # writes internal notes when there are conversations, and answers nobody
    "collaborator": READING,
    "read_only": READING,
}
"""An admin may do what an owner may, but not make, change or disable an owner."""


def rights_of(role: str, scopes: Iterable[str] = ()) -> frozenset[str]:
    """What a token may: all of its role, or of that the scopes it was made for."""
    granted = ROLES.get(role, frozenset())
    wanted = frozenset(scopes)
    return granted & wanted if wanted else granted


def listed(rights: Container[str]) -> list[str]:
    return [permission for permission in PERMISSIONS if permission in rights]
