"""
The installation's secret: the gateway's keys are derived from it, and what is sealed in the
database (kit/seals.py) opens by it alone.

It is a setting, or a file in the data folder that the first process makes.
"""

import hmac
import logging
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pullse.kit import home

log = logging.getLogger(__name__)

FILE = "secret"
SECRET_AT_LEAST = 32
"""Characters."""


class Told(Protocol):
    """Settings: the secret itself, or the folder that it is kept in."""

    @property
    def secret(self) -> str | None: ...

    @property
    def data_dir(self) -> Path | None: ...


class WrongSecret(Exception):
    """The installation's secret can't be used; the message says why, and where it comes from."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The installation's. `source` is the setting or the file that it was read from."""

    value: str = field(repr=False)
    source: str = "PULLSE_SECRET"

    @classmethod
    def of(cls, settings: Told) -> "Secret":
        """
        The setting, or a file in the data folder, which is made if it is not there.

        Raises `WrongSecret`.
        """
        if settings.secret is not None:
            return cls(settings.secret)
        file = home.choose(settings.data_dir).path / FILE
        try:
            return cls(kept_in(file), str(file))
        except (OSError, UnicodeError) as error:
            raise WrongSecret(
                f"The secret of this installation is kept in {file}, which can't be read or "
                f"written: {getattr(error, 'strerror', None) or error}. Set PULLSE_SECRET instead."
            ) from error

    def of_key(self, name: str) -> str:
        """43 characters."""
        digest = self._derived(b"realtime-key\0" + name.encode())
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def fingerprint(self) -> bytes:
        """Tells one secret from another, and nothing of either."""
        return self._derived(b"fingerprint")

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self.value.encode(), purpose, "sha256")


def kept_in(file: Path) -> str:
    """Of processes that start together, the first to finish writing decides."""
    with suppress(FileNotFoundError):
        return read(file)
    if not file.parent.is_dir():
        # As kit.postgres opens it: root's may be passed through by PostgreSQL's account.
        file.parent.mkdir(0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    part = file.with_name(f"{FILE}.{secrets.token_hex(8)}")
    try:
        with open(part, "x", encoding="ascii", opener=for_its_owner) as whole:
            whole.write(secrets.token_urlsafe(32) + "\n")
            whole.flush()
            os.fsync(whole.fileno())
        with suppress(FileExistsError):
            os.link(part, file)
    finally:
        part.unlink(missing_ok=True)
    return read(file)


def for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read(file: Path) -> str:
    text = file.read_text("ascii").strip()
    if len(text) < SECRET_AT_LEAST:
        raise WrongSecret(
            f"{file} is damaged: it has less than {SECRET_AT_LEAST} characters. Put the right one "
            "back, or delete it to get a new one; all keys of the gateway are void then."
        )
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s can be read by others than its owner: chmod 600 it", file)
    return text
