"""Check the locks without a network: no addresses, every hash there, and pyproject.toml satisfied.

Run by bin/lint and by tests/test_setup.py.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What each lock answers for: the project itself and groups of development dependencies.
COVERS = {
    "uv": ["setup"],
    "ably2": ["ably2"],
    "run": ["project"],
    "test": ["project", "test"],
    "bench": ["project", "test", "bench"],
}

Lock = dict[str, str]
"""A package's name → all that is said of it: version, marker, hashes."""


def find_problems(checkout: Path) -> list[str]:
    texts = {
        name: (checkout / "locks" / f"{name}.txt").read_text(encoding="utf-8") for name in COVERS
    }
    locks = {name: parse(text) for name, text in texts.items()}
    declared = read_declared(checkout / "pyproject.toml")
    problems = [
        f"locks/{name}.txt: {problem}"
        for name, covers in COVERS.items()
        for problem in (
            *find_addresses(texts[name]),
            *find_unpinned(locks[name]),
            *find_unmet(locks[name], [line for cover in covers for line in declared[cover]]),
        )
    ]
    for narrow, wide in (("run", "test"), ("test", "bench")):
        problems += [
            f"locks/{wide}.txt: {name} is not as in locks/{narrow}.txt"
            for name, pin in locks[narrow].items()
            if locks[wide].get(name) != pin
        ]
    return problems


def parse(text: str) -> Lock:
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    pins = (line.partition("==") for line in lines if line.strip())
    return {canonicalize_name(name): pin for name, _, pin in pins}


def read_declared(path: Path) -> dict[str, list[str]]:
    pyproject = tomllib.loads(path.read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = pyproject["dependency-groups"]
    return {"project": pyproject["project"]["dependencies"], **groups}


def find_addresses(text: str) -> list[str]:
    """Only names, versions and hashes: an option or an address would bind a lock to one place."""
    addresses = (r"://", r" @ ", r"^\s*-(?!-hash=sha256:)")
    return [
        f"no address belongs here: {line.strip()}"
        for line in text.splitlines()
        if any(re.search(address, line) for address in addresses)
    ]


def find_unpinned(lock: Lock) -> list[str]:
    pinned = re.compile(r"[\w.+!]+( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+")
    return [f"{name} has no hash" for name, pin in lock.items() if not pinned.fullmatch(pin)]


def find_unmet(lock: Lock, declared: list[str]) -> list[str]:
    requirements = map(Requirement, declared)
    return [
        f"does not satisfy {requirement}: run bin/lock"
        for requirement in requirements
        if not is_met(requirement, lock.get(canonicalize_name(requirement.name), ""))
    ]


def is_met(requirement: Requirement, pin: str) -> bool:
    version = pin.partition(" ")[0]
    return bool(version) and requirement.specifier.contains(version, prereleases=True)


if __name__ == "__main__":
    sys.exit("\n".join(find_problems(Path(__file__).resolve().parent.parent)) or 0)
