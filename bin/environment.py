"""The checkout's own environment, `.venv`: made from a hash lock, trusted only by its stamp.

Standard library alone, because nothing else is there yet. Whatever left no stamp (a first run,
a kill in the middle) or one of elsewhere (another Python, a moved checkout) is made anew.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (the one file that an older Python gets to read)
    sys.exit(f"pullse needs Python 3.11 or newer; this is {sys.version.split()[0]}.")

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "pullse-stamp.json"
TOOLS = CHECKOUT / ".setup"

# Each lock holds all of the one before it, in the same versions.
LOCKS = ("run", "test", "bench")

# The first uv that knows every option used here.
OLDEST_UV = (0, 8)

# Of uv's many settings these alone are let through: where files come from and where they are
# kept. What is installed, and with which Python, is not for the machine's habits to say.
UV_SETTINGS = (
    "UV_CACHE_DIR",
    "UV_CONCURRENT",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX",
    "UV_FIND_LINKS",
    "UV_HTTP",
    "UV_INDEX",
    "UV_INSECURE_HOST",
    "UV_KEYRING",
    "UV_LINK_MODE",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    "UV_REQUEST",
    "UV_SYSTEM_CERTS",
)

ADVICE = """\
Run the same command again once the cause is gone: it starts over and keeps what was fetched.
It needs the network or a filled cache; HTTPS_PROXY, PIP_INDEX_URL and PIP_CERT are honoured."""


def sync(lock: str) -> None:
    """Return when `.venv` holds what `locks/<lock>.txt` says, or more, and this checkout."""
    if _is_ready(lock):
        return
    try:
        with alone() as lock_file:
            if not _is_ready(lock):
                _make(lock, lock_file)
    except OSError as error:
        stop(f"{VENV} could not be set up: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def run(*arguments: str) -> NoReturn:
    """Become the environment's Python. Only the checkout is importable, never the caller's cwd."""
    os.execv(PYTHON, [str(PYTHON), "-P", *arguments])


def packages(lock: str) -> Path:
    """A folder with what `locks/<lock>.txt` says and nothing else, for a path of its own."""
    home = TOOLS / f"{lock}-{_digest(f'locks/{lock}.txt')}-{_platform().replace(' ', '-')}"
    if not home.exists():
        with alone() as lock_file:
            if not home.exists():
                with _progress(f"fetching locks/{lock}.txt"):
                    _fetch(lock, home, lock_file)
    return home


def stop(message: str) -> NoReturn:
    sys.exit(f"pullse: {message}")


def uv(*arguments: str, lock_file: int) -> subprocess.CompletedProcess[str]:
    """Run the uv on PATH, or our own, with the interpreters that are here and no others."""
    return _call(
        _find_uv(lock_file),
        *arguments,
        "--no-python-downloads",
        "--no-progress",
        environment=_uv_environment(),
        lock_file=lock_file,
    )


# What is there


def _is_ready(lock: str) -> bool:
    stamp = _read_stamp()
    return (
        stamp.get("place") == _place()
        and stamp.get("project") == _project()
        and stamp.get("locks", {}).get(lock) == _digest(f"locks/{lock}.txt")
        and os.access(PYTHON, os.X_OK)
    )


def _read_stamp() -> dict[str, Any]:
    try:
        stamp: dict[str, Any] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp


def _write_stamp(lock: str) -> None:
    locks = LOCKS[: LOCKS.index(lock) + 1]
    stamp = {
        "place": _place(),
        "project": _project(),
        "locks": {name: _digest(f"locks/{name}.txt") for name in locks},
    }
    unfinished = STAMP.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(stamp, indent=1))
    unfinished.replace(STAMP)


def _place() -> str:
    """What no environment survives a change of."""
    return f"{CHECKOUT} {_platform()}"


def _platform() -> str:
    return f"{sys.implementation.cache_tag}{sys.abiflags} {os.uname().machine}"


def _project() -> str:
    return _digest("pyproject.toml") + _digest("bin/environment.py")


def _digest(path: str) -> str:
    return hashlib.sha256((CHECKOUT / path).read_bytes()).hexdigest()[:32]


# Making it


def _make(lock: str, lock_file: int) -> None:
    stamp = _read_stamp()
    held = [name for name in LOCKS if name in stamp.get("locks", {})]
    lock = max([lock, *held], key=LOCKS.index)  # never take packages from under a running process
    STAMP.unlink(missing_ok=True)
    with _progress(f"setting up .venv from locks/{lock}.txt"):
        if stamp.get("place") != _place() or not os.access(PYTHON, os.X_OK):
            _make_empty(lock_file)
        _install(lock, lock_file)
        _add_project()
        _write_stamp(lock)


def _make_empty(lock_file: int) -> None:
    _remove(VENV)
    made = uv("venv", "--python", _interpreter(), str(VENV), lock_file=lock_file)
    if made.returncode:
        _give_up(made.stdout)


def _install(lock: str, lock_file: int) -> None:
    # No builds: they would run code that no hash in the lock speaks for.
    source = ("--require-hashes", "--no-build", f"locks/{lock}.txt")
    command = ("pip", "sync", "--python", str(PYTHON), "--compile-bytecode", *source)
    # What is in the cache needs no network; only when something is missing is it asked.
    if uv(*command, "--offline", lock_file=lock_file).returncode:
        synced = uv(*command, lock_file=lock_file)
        if synced.returncode:
            _give_up(synced.stdout)


def _fetch(lock: str, home: Path, lock_file: int) -> None:
    for leftover in TOOLS.glob(f"{lock}-*"):
        _remove(leftover)
    unfinished = tempfile.mkdtemp(prefix=f"{lock}-", dir=TOOLS)
    source = ("--require-hashes", "--no-build", "--requirement", f"locks/{lock}.txt")
    command = ("pip", "install", "--python", str(PYTHON), "--target", unfinished, *source)
    if uv(*command, "--offline", lock_file=lock_file).returncode:
        fetched = uv(*command, lock_file=lock_file)
        if fetched.returncode:
            _give_up(fetched.stdout)
    os.rename(unfinished, home)


def _add_project() -> None:
    """Make the checkout importable and give it its command and its metadata.

    By hand, as building it would need a build backend from outside the lock. The metadata lies
    in a folder of its own, where `uv pip sync` does not see a package that no lock knows.
    """
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    metadata = VENV / "checkout" / f"{name}-{version}.dist-info"
    _remove(metadata.parent)
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (site_packages,) = VENV.glob("lib/python*/site-packages")
    (site_packages / f"{name}.pth").write_bytes(os.fsencode(f"{CHECKOUT}\n{metadata.parent}\n"))
    for command, target in project["scripts"].items():
        _write_command(VENV / "bin" / command, *target.split(":"))


def _write_command(path: Path, module: str, function: str) -> None:
    # Through sh, as the kernel takes neither a blank nor more than 127 bytes in a #! line.
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(
        "#!/bin/sh\n"
        f"'''exec' {shlex.quote(str(PYTHON))} -P \"$0\" \"$@\"\n"
        "' '''\n"
        "import sys\n\n"
        f"from {module} import {function}\n\n"
        f"sys.exit({function}())\n"
    )
    unfinished.chmod(0o755)
    unfinished.replace(path)


def _interpreter() -> str:
    """The Python that runs this, or what it stands on when it is a virtual environment's own."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


# uv


def _find_uv(lock_file: int) -> str:
    found = shutil.which("uv")
    if found and _version(found) >= OLDEST_UV:
        return found
    home = TOOLS / f"uv-{_digest('locks/uv.txt')}-{os.uname().machine}"
    if not home.exists():
        _fetch_uv(home, lock_file)
    return str(home / "bin" / "uv")


def _version(uv: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    numbers = re.match(r"uv (\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, numbers.groups())) if numbers else ()


def _fetch_uv(home: Path, lock_file: int) -> None:
    for leftover in TOOLS.glob("uv-*"):
        _remove(leftover)
    unfinished = tempfile.mkdtemp(prefix="uv-", dir=TOOLS)
    fetched = _call(
        *(_python_with_pip(), "-m", "pip", "install", "--target", unfinished, "--no-deps"),
        *("--require-hashes", "--only-binary", ":all:", "-r", "locks/uv.txt"),
        environment=_pip_environment(),
        lock_file=lock_file,
    )
    if fetched.returncode:
        _give_up(fetched.stdout)
    os.rename(unfinished, home)


def _python_with_pip() -> str:
    if importlib.util.find_spec("pip"):
        return sys.executable
    python = _interpreter()
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode:
        stop(f"{python} has no pip, and there is no uv. On Debian: apt-get install python3-pip")
    return python


def _pip_environment() -> dict[str, str]:
    habits = {"PIP_CONSTRAINT", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET"}
    kept = {name: value for name, value in os.environ.items() if name not in habits}
    # 0 overrules a pip.conf too.
    return kept | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1"}


def _uv_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("UV_") or name.startswith(UV_SETTINGS)
    }
    # Who has told pip where packages are need not tell uv again.
    for ours, pips in {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "SSL_CERT_FILE": "PIP_CERT"}.items():
        if pips in kept:
            kept.setdefault(ours, kept[pips])
    kept.setdefault("UV_CACHE_DIR", str(_cache()))
    return kept


def _cache() -> Path:
    """uv's usual cache, or one in the checkout for a user without a home to write to."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "uv"
    nearest = next(folder for folder in (usual, *usual.parents) if folder.exists())
    return usual if os.access(nearest, os.W_OK) else TOOLS / "cache"


# Running and telling


@contextlib.contextmanager
def alone() -> Iterator[int]:
    """Keep other launchers of this checkout waiting."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("pullse: waiting for another set-up of this checkout", file=sys.stderr)
            fcntl.flock(lock_file, fcntl.LOCK_EX)
        yield lock_file.fileno()


@contextlib.contextmanager
def _progress(doing: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"pullse: {doing} … ", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        print("stopped", file=sys.stderr)
        raise
    print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)


def _call(
    *command: str, environment: dict[str, str], lock_file: int
) -> subprocess.CompletedProcess[str]:
    # The child inherits the lock: when this process alone is killed, nobody starts over until
    # the child has ended too.
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[lock_file],
        check=False,
    )


def _give_up(output: str) -> NoReturn:
    stop(f"this went wrong:\n\n{output.strip()}\n\n{ADVICE}")
