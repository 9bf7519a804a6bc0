"""Where the data goes, and what the start line says of it."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullse.kit import home
from pullse.kit.postgres import Unavailable

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account run it")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package in it, where anyone can enter."""
    path = Path(tempfile.mkdtemp(prefix="pullse-test-", dir="/tmp"))
    path.chmod(0o755)
    monkeypatch.setattr(home, "PACKAGE", path / "code" / "pullse")
    (path / "code" / "pullse").mkdir(parents=True)
    monkeypatch.setattr(home, "user_state_path", lambda name: path / "state" / name)
    yield path
    shutil.rmtree(path)


def test_what_was_asked_for_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert home.choose(Path("~/data")) == home.Home(Path("/home/ada/data"), "as asked")
    assert home.choose(Path("data")).path == Path.cwd() / "data"


def test_a_checkout_keeps_its_data_to_itself(place: Path) -> None:
    (place / "code" / "pyproject.toml").touch()
    assert home.choose(None) == home.Home(place / "code" / ".pullse", "in the checkout")
    assert not (place / "code" / ".pullse").exists()


def test_an_installed_package_uses_the_state_directory(place: Path) -> None:
    expected = home.Home(place / "state" / "pullse", "this user's state directory")
    assert home.choose(None) == expected


@as_root
@pytest.mark.parametrize("closed", ["", "code", "code/.pullse"])
def test_root_goes_where_the_account_of_postgresql_can_reach_it(place: Path, closed: str) -> None:
    (place / "code" / "pyproject.toml").touch()
    (place / closed).mkdir(exist_ok=True)
    (place / closed).chmod(0o700)
    chosen = home.choose(None)
    assert chosen.path == Path("/var/lib/pullse")
    assert chosen.why.startswith(f"as {place / closed} is closed to ")


@as_root
def test_a_closed_home_that_belongs_to_a_user_is_no_obstacle_to_root(place: Path) -> None:
    (place / "code" / "pyproject.toml").touch()
    theirs = place / "code" / ".pullse"
    theirs.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody")
    os.chown(theirs, nobody.pw_uid, nobody.pw_gid)
    assert home.choose(None).path == theirs


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_checkout_that_the_user_may_not_write_in_is_left_alone(place: Path) -> None:
    (place / "code" / "pyproject.toml").touch()
    (place / "code").chmod(0o555)
    assert home.choose(None).path == place / "state" / "pullse"
    (place / "code").chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use the data of anyone")
def test_the_data_of_another_user_is_refused(place: Path) -> None:
    (place / "code" / "pyproject.toml").touch()
    (place / "code" / ".pullse").mkdir()
    (place / "code" / ".pullse" / "postgres").symlink_to("/etc")
    with pytest.raises(Unavailable, match="belongs to root, not to you"):
        home.choose(None)
