"""
Settings of single sign-on: which OpenID Connect providers there are.

`PULLSE_OIDC` names them, and each has settings of its own that begin with its name. An issuer
is reached over TLS, or is on this machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NAME_AT_MOST, TITLE_AT_MOST = 30, 100
PARTS = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "TITLE", "SCOPES", "CREATES", "DOMAINS")
"""What follows `PULLSE_OIDC_<NAME>_`."""
CREATES = ("agent", "collaborator", "read_only")
"""Roles that nobody has to give in person."""
DOMAIN = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9][a-z0-9-]*[a-z0-9]")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
PRINTABLE = re.compile(r"[\x20-\x7e]{1,1000}")


@dataclass(frozen=True, slots=True)
class Provider:
    """Without `client_secret` we are a public client; `creates` is a role, for `domains` alone."""

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: str = "openid email profile"
    creates: str | None = None
    domains: tuple[str, ...] = ()


def setting(name: str, part: str) -> str:
    return f"PULLSE_OIDC_{name.upper().replace('-', '_')}_{part}"


def named(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip().lower())]


def settings_of(text: str) -> list[str]:
    """Names of the settings that providers between commas may have."""
    return [setting(name, part) for name in named(text) for part in PARTS]


def read(given: Mapping[str, str], wrong: list[str]) -> tuple[Provider, ...]:
    """All that are named; what is wrong is added to `wrong`."""
    found: list[Provider] = []
    for name in named(given.get("PULLSE_OIDC", "")):
        if not NAME.fullmatch(name) or len(name) > NAME_AT_MOST:
            wrong.append(
                f"PULLSE_OIDC: {name} is no name; small letters and digits, hyphens between, "
                f"{NAME_AT_MOST} at most"
            )
        elif any(name == other.name for other in found):
            wrong.append(f"PULLSE_OIDC: {name} is named twice")
        else:
            found.append(Reader(given, name, wrong).read())
    issuers = [each.issuer for each in found if each.issuer]
    for each in found:
        if issuers.count(each.issuer) > 1:
            wrong.append(f"{setting(each.name, 'ISSUER')}: another provider has the same")
    return tuple(found)


class Reader:
    """One provider's."""

    def __init__(self, given: Mapping[str, str], name: str, wrong: list[str]) -> None:
        self._given = given
        self._name = name
        self._wrong = wrong

    def read(self) -> Provider:
        scopes = self._get("SCOPES", "openid email profile").split()
        if "openid" not in scopes or not all(SCOPE.fullmatch(each) for each in scopes):
            self._refuse("SCOPES", "words between spaces, and openid is one of them")
        creates, domains = self._get("CREATES") or None, self._domains()
        if creates is not None and creates not in CREATES:
            self._refuse("CREATES", f"one of {', '.join(CREATES)}")
        if (creates is None) != (not domains):
            self._refuse("DOMAINS", "these and the role CREATES go together")
        return Provider(
            self._name,
            self._title(),
            self._issuer(),
            self._printable("CLIENT_ID"),
            self._printable("CLIENT_SECRET") if self._get("CLIENT_SECRET") else None,
            " ".join(scopes),
            creates,
            domains,
        )

    def _get(self, part: str, otherwise: str = "") -> str:
        return self._given.get(setting(self._name, part), otherwise)

    def _refuse(self, part: str, text: str) -> None:
        self._wrong.append(f"{setting(self._name, part)}: {text}")

    def _title(self) -> str:
        value = self._get("TITLE", self._name.replace("-", " ").capitalize())
        if not value.isprintable() or len(value) > TITLE_AT_MOST:
            self._refuse("TITLE", f"printable, {TITLE_AT_MOST} characters at most")
        return value

    def _printable(self, part: str) -> str:
        value = self._get(part)
        if not PRINTABLE.fullmatch(value):
            self._refuse(part, "needed; printable ASCII characters, 1,000 at most")
        return value

    def _issuer(self) -> str:
        value = self._get("ISSUER")
        if not is_safe(value) or "?" in value:
            self._refuse("ISSUER", "write it as https://accounts.example.com, as the provider does")
        return value

    def _domains(self) -> tuple[str, ...]:
        found = named(self._get("DOMAINS"))
        for each in found:
            if not DOMAIN.fullmatch(each):
                self._refuse("DOMAINS", f"{each} is no domain; write it as example.com")
        return tuple(found)


def is_safe(url: str) -> bool:
    """Over TLS, or to this machine; no user, no fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or "#" in url or not PRINTABLE.fullmatch(url):
        return False
    if " " in url or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
