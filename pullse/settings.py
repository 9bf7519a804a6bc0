"""
One frozen struct, read once from the environment and `.env`.

All that is wrong is said in one message. Each name is documented in docs/settings.md, and
a test says so.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pullse.kit.db import Address


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
    port: int = 3000
    api_token: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    data_dir: Path | None = None
    postgres: Literal["embedded", "system"] | None = None
    pool_size: int = 10
    log_format: str = "text"
    log_level: str = "INFO"


NAMES = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "ABLY_API_KEY",
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "PORT",
    "PULLSE_ABLY_HOST",
    "PULLSE_ABLY_PORT",
    "PULLSE_ABLY_TLS",
    "PULLSE_API_TOKEN",
    "PULLSE_DATA_DIR",
    "PULLSE_LOG_FORMAT",
    "PULLSE_LOG_LEVEL",
    "PULLSE_POOL_SIZE",
    "PULLSE_POSTGRES",
    "PULLSE_SECRET",
)
TOKEN_AT_LEAST = 20
SECRET_AT_LEAST = 32


def load(environment: Mapping[str, str] | None = None, *, folder: Path | None = None) -> Settings:
    """The environment wins over `.env` in `folder` (the current one). Raises `Wrong`."""
    file = dotenv_values((folder or Path.cwd()) / ".env", interpolate=False)
    given = {name: value for name, value in file.items() if value is not None}
    given |= os.environ if environment is None else environment
    known = {name: given[name].strip() for name in NAMES if given.get(name, "").strip()}
    unknown = sorted(name for name in given if name.startswith("PULLSE_") and name not in NAMES)
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
            port=self._number("PORT", 3000, least=0, most=65535),
            api_token=self._hidden("PULLSE_API_TOKEN", TOKEN_AT_LEAST),
            secret=self._hidden("PULLSE_SECRET", SECRET_AT_LEAST),
            data_dir=self._folder("PULLSE_DATA_DIR"),
            postgres=self._one_of("PULLSE_POSTGRES", ("embedded", "system")),  # type: ignore[arg-type]
            pool_size=self._number("PULLSE_POOL_SIZE", 10, least=2, most=500),
            log_format=self._one_of("PULLSE_LOG_FORMAT", ("text", "json")) or "text",
            log_level=self._one_of("PULLSE_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"))
            or "INFO",
        )
        self._check_pooler(settings)
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

    def _one_of(self, name: str, words: tuple[str, ...]) -> str | None:
        value = self._given.get(name)
        if value is not None and value not in words:
            self._wrong.append(f"{name}: one of {', '.join(words)}")
            return None
        return value
