"""What is sealed opens by the same secret, for the same purpose, about the same."""

import pytest

from pullse.kit.seals import Broken, seal, unseal
from pullse.kit.secret import Secret

ONE, OTHER = Secret("one secret of an installation, for tests"), Secret("another one" * 4)


def test_what_was_sealed_opens() -> None:
    for plain in (b"", b"x", bytes(20), b"long" * 10_000):
        sealed = seal(ONE, "totp", plain, about=b"ada")
        assert unseal(ONE, "totp", sealed, about=b"ada") == plain
        assert len(sealed) == len(plain) + 29
        assert plain not in sealed or len(plain) < 4
    assert seal(ONE, "totp", b"x", about=b"") != seal(ONE, "totp", b"x", about=b"")


def test_nothing_else_opens_it() -> None:
    sealed = seal(ONE, "totp", b"the key", about=b"ada")
    for secret, purpose, about in (
        (OTHER, "totp", b"ada"),
        (ONE, "other", b"ada"),
        (ONE, "totp", b"ben"),
        (ONE, "totp", b""),
    ):
        with pytest.raises(Broken):
            unseal(secret, purpose, sealed, about=about)


def test_what_was_changed_does_not_open() -> None:
    sealed = seal(ONE, "totp", b"the key", about=b"ada")
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(Broken):
            unseal(ONE, "totp", changed, about=b"ada")
    for length in range(len(sealed)):
        with pytest.raises(Broken):
            unseal(ONE, "totp", sealed[:length], about=b"ada")
