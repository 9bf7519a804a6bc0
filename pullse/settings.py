"""
One frozen struct, read once from the environment and `.env`.

All that is wrong is said in one message. Each name is documented in docs/settings.md, and
a test says so.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pullse import providers
from pullse.kit.db import Address
from pullse.kit.proxies import Network
from pullse.kit.secret import SECRET_AT_LEAST
from pullse.providers import Provider

Item = TypeVar("Item")


class Wrong(Exception):
    """Settings that can't be used; the message names each."""


@dataclass(frozen=True, slots=True)
class Ably:
    """The key is a secret; the host options are for Ably-compatible endpoints."""

    key: str = field(repr=False)
    host: str | None = None
    port: int | None = None
    tls: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    database_url: str | None = field(default=None, repr=False)
    database_direct_url: str | None = field(default=None, repr=False)
    ably: Ably | None = None
    supabase_url: str | None = None
    supabase_service_key: str | None = field(default=None, repr=False)
    supabase_jwt_secret: str | None = field(default=None, repr=False)
    supabase_auth: Literal["jwks"] | None = None
    port: int = 3000
    api_token: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    data_dir: Path | None = None
    postgres: Literal["embedded", "system"] | None = None
    pool_size: int = 10
    log_format: str = "text"
    log_level: str = "INFO"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()
    rate: int = 50
    oidc: tuple[Provider, ...] = ()


NAMES = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "ABLY_API_KEY",
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "SUPABASE_JWT_SECRET",
    "PORT",
    "PULLSE_ABLY_HOST",
    "PULLSE_ABLY_PORT",
    "PULLSE_ABLY_TLS",
    "PULLSE_API_TOKEN",
    "PULLSE_DATA_DIR",
    "PULLSE_HOSTS",
    "PULLSE_LOG_FORMAT",
    "PULLSE_LOG_LEVEL",
    "PULLSE_OIDC",
    "PULLSE_ORIGINS",
    "PULLSE_POOL_SIZE",
    "PULLSE_POSTGRES",
    "PULLSE_PROXIES",
    "PULLSE_RATE",
    "PULLSE_SECRET",
    "PULLSE_SUPABASE_AUTH",
)
"""Besides those of each provider that PULLSE_OIDC names; see providers.py."""
TOKEN_AT_LEAST = 20
NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
PORT = re.compile("[1-9][0-9]{0,4}")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def load(environment: Mapping[str, str] | None = None, *, folder: Path | None = None) -> Settings:
    """The environment wins over `.env` in `folder` (the current one). Raises `Wrong`."""
    file = dotenv_values((folder or Path.cwd()) / ".env", interpolate=False)
    given = {name: value for name, value in file.items() if value is not None}
    given |= os.environ if environment is None else environment
    names = (*NAMES, *providers.settings_of(given.get("PULLSE_OIDC", "")))
    known = {name: given[name].strip() for name in names if given.get(name, "").strip()}
    unknown = sorted(name for name in given if name.startswith("PULLSE_") and name not in names)
    return Reader(known).read(unknown=unknown)


class Reader:
    """Collects what is wrong, to say it all at once."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given
        self._wrong: list[str] = []

    def read(self, *, unknown: list[str]) -> Settings:
        for name in unknown:
            self._wrong.append(f"{name}: there is no such setting")
        settings = Settings(
            database_url=self._database("DATABASE_URL"),
            database_direct_url=self._database("DATABASE_DIRECT_URL"),
            ably=self._ably(),
            supabase_url=self._url("SUPABASE_URL"),
            supabase_service_key=self._given.get("SUPABASE_SERVICE_KEY"),
            supabase_jwt_secret=self._hidden("SUPABASE_JWT_SECRET", SECRET_AT_LEAST),
            supabase_auth=self._one_of("PULLSE_SUPABASE_AUTH", ("jwks",)),  # type: ignore[arg-type]
            port=self._number("PORT", 3000, least=0, most=65535),
            api_token=self._hidden("PULLSE_API_TOKEN", TOKEN_AT_LEAST),
            secret=self._hidden("PULLSE_SECRET", SECRET_AT_LEAST),
            data_dir=self._folder("PULLSE_DATA_DIR"),
            postgres=self._one_of("PULLSE_POSTGRES", ("embedded", "system")),  # type: ignore[arg-type]
            pool_size=self._number("PULLSE_POOL_SIZE", 10, least=2, most=500),
            log_format=self._one_of("PULLSE_LOG_FORMAT", ("text", "json")) or "text",
            log_level=self._one_of("PULLSE_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"))
            or "INFO",
            hosts=self._list("PULLSE_HOSTS", host),
            origins=self._list("PULLSE_ORIGINS", origin),
            proxies=self._list("PULLSE_PROXIES", network),
            rate=self._number("PULLSE_RATE", 50, least=0, most=100_000),
            oidc=providers.read(self._given, self._wrong),
        )
        self._check_pooler(settings)
        self._check_supabase(settings)
        if self._wrong:
            listed = "\n".join(f"  {each}" for each in self._wrong)
            raise Wrong(f"These settings can't be used:\n{listed}")
        return settings

    def _database(self, name: str) -> str | None:
        value = self._given.get(name)
        if value is not None:
            try:
                scheme, port = urlsplit(value).scheme, urlsplit(value).port  # noqa: F841
            except ValueError:
                scheme = ""
            if scheme not in ("postgres", "postgresql"):
                self._wrong.append(f"{name}: write it as postgresql://user:password@host:5432/name")
                return None
        return value

    def _check_pooler(self, settings: Settings) -> None:
        url, direct = settings.database_url, settings.database_direct_url
        if url and Address.parse(url).pooled and not direct:
            self._wrong.append(
                "DATABASE_DIRECT_URL: needed beside a DATABASE_URL that leads to a transaction "
                "pooler (port 6543 or pgbouncer=true); give the database's own address, or its "
                "session pooler's (port 5432 at Supabase)"
            )
        if direct and Address.parse(direct).pooled:
            self._wrong.append("DATABASE_DIRECT_URL: this leads to a transaction pooler too")

    def _check_supabase(self, settings: Settings) -> None:
        """Whoever could answer in the project's place could sign anybody in."""
        is_on = settings.supabase_auth or settings.supabase_jwt_secret
        if is_on and not providers.is_safe(settings.supabase_url or ""):
            self._wrong.append(
                "SUPABASE_URL: needed, as https://…, beside PULLSE_SUPABASE_AUTH and "
                "SUPABASE_JWT_SECRET"
            )

    def _ably(self) -> Ably | None:
        key = self._given.get("ABLY_API_KEY")
        host = self._given.get("PULLSE_ABLY_HOST")
        port = self._number("PULLSE_ABLY_PORT", 0, least=1, most=65535) or None
        tls = self._one_of("PULLSE_ABLY_TLS", ("true", "false")) != "false"
        if key is None:
            return None
        name, _, secret = key.partition(":")
        if "." not in name or not secret:
            self._wrong.append("ABLY_API_KEY: it looks like app.key:secret, see Ably's dashboard")
        return Ably(key, host, port, tls)

    def _url(self, name: str) -> str | None:
        value = self._given.get(name)
        if value is not None and not value.startswith(("https://", "http://")):
            self._wrong.append(f"{name}: write it as https://…")
        return value

    def _hidden(self, name: str, at_least: int) -> str | None:
        value = self._given.get(name)
        if value is not None and not (
            len(value) >= at_least and value.isascii() and " " not in value
        ):
            self._wrong.append(
                f"{name}: at least {at_least} ASCII characters without spaces "
                '(python3 -c "import secrets; print(secrets.token_urlsafe(32))")'
            )
        return value

    def _folder(self, name: str) -> Path | None:
        value = self._given.get(name)
        return None if value is None else Path(value).expanduser().absolute()

    def _number(self, name: str, otherwise: int, *, least: int, most: int) -> int:
        value = self._given.get(name)
        if value is None:
            return otherwise
        is_number = value.isascii() and value.isdigit() and len(value) < 10
        if not (is_number and least <= int(value) <= most):
            self._wrong.append(f"{name}: a number from {least} to {most}")
            return otherwise
        return int(value)

    def _list(self, name: str, read: Callable[[str], Item]) -> tuple[Item, ...]:
        """What is between commas, each read by a function that says what is wrong."""
        found: list[Item] = []
        for each in self._given.get(name, "").split(","):
            try:
                found += [read(each.strip())] if each.strip() else []
            except ValueError as error:
                self._wrong.append(f"{name}: {error}")
        return tuple(found)

    def _one_of(self, name: str, words: tuple[str, ...]) -> str | None:
        value = self._given.get(name)
        if value is not None and value not in words:
            self._wrong.append(f"{name}: one of {', '.join(words)}")
            return None
        return value


def host(text: str) -> str:
    """As browsers write it in `Host`, without a port. Raises ValueError."""
    name = text.lower()
    if is_host(name):
        return name
    raise ValueError(f"{text} is no host name; write it as help.example.com, without a port")


def is_host(name: str) -> bool:
    if name.startswith("[") and name.endswith("]"):
        try:
            return name[1:-1] == str(ip_address(name[1:-1])) and ":" in name
        except ValueError:
            return False
    return len(name) <= 253 and NAME.fullmatch(name) is not None


def origin(text: str) -> str:
    """As browsers write it in `Origin`. Raises ValueError."""
    scheme, slashes, rest = text.lower().partition("://")
    bracket = rest.rfind("]")
    name, colon, port = rest[bracket + 1 :].partition(":")
    name = rest[: bracket + 1] + name
    is_port = not colon or (PORT.fullmatch(port) is not None and int(port) <= 65535)
    if scheme not in DEFAULT_PORTS or not slashes or not is_host(name) or not is_port:
        raise ValueError(
            f"{text} is no origin; write it as https://app.example.com, without a path"
        )
    return f"{scheme}://{rest}".removesuffix(DEFAULT_PORTS[scheme])


def network(text: str) -> Network:
    """Raises ValueError."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text} is no address and no network; write it as 10.0.0.7 or 10.0.0.0/8"
        ) from error
