"""Drives a server with 32 connections: by wrk if it is installed, else by our own generator.

A run in which any request failed is no result: it raises.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
HERE = Path(__file__).parent


class Failed(Exception):
    """A measurement that must not be reported."""


@dataclass(frozen=True)
class Load:
    """Requests to send in turn, over and over: pairs of path and JSON body ("" for none)."""

    method: str
    requests: list[tuple[str, str]]


@dataclass(frozen=True)
class Result:
    requests: int
    rate: float
    p50_ms: float
    p99_ms: float
    bytes: int


def generator_name() -> str:
    return "wrk" if shutil.which("wrk") else "the bundled asyncio generator"


def drive(base: str, load: Load, *, seconds: float, token: str = "", session: str = "") -> Result:
    """With an API token, or the token of a session, or as nobody."""
    header = f"Authorization: Bearer {token}" if token else ""
    header = f"Cookie: pullse={session}" if session else header
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        file.write_text("".join(f"{path}\t{body}\n" for path, body in load.requests))
        arguments = [load.method, str(file), header]
        if shutil.which("wrk"):
            script = str(HERE / "wrk.lua")
            length = f"{max(1, round(seconds))}s"
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{length}", "-s", script, base]
            command += ["--", *arguments]
        else:
            command = [sys.executable, "-m", "bench.generator", base, str(seconds), *arguments]
        output = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 60, check=True
        ).stdout
    return read(output.splitlines()[-1], f"{load.method} {load.requests[0][0]}")


def read(line: str, what: str) -> Result:
    numbers = json.loads(line)
    if numbers["refused"] or numbers["broken"] or not numbers["requests"]:
        raise Failed(f"{what}: {line}")
    return Result(
        requests=numbers["requests"],
        rate=numbers["requests"] / numbers["seconds"],
        p50_ms=numbers["p50_ms"],
        p99_ms=numbers["p99_ms"],
        bytes=numbers["bytes"],
    )
