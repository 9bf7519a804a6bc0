"""
schemathesis against our own description, served by the real server.

A short run each time; `SCHEMATHESIS_CASES=3000 bin/test tests/api/test_schemathesis.py` is a
long one, with another seed each time.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import httpx
import pytest

LONG = int(os.environ.get("SCHEMATHESIS_CASES", "0"))
OPERATIONS = 19

# A value that fits its shape may still name an agent, a cursor or a version that is not there,
# so what is valid by the description alone need not be accepted.
CONFIG = """
[checks.positive_data_acceptance]
enabled = false

[checks.negative_data_rejection]
expected-statuses = [400, 403, 404, 405, 410, 412, 413, 415, 422]
"""


@pytest.mark.timeout(900)
async def test_no_case_breaks_the_description(live: httpx.AsyncClient, tmp_path: Path) -> None:
    config, report = tmp_path / "schemathesis.toml", tmp_path / "report.json"
    config.write_text(CONFIG)
    seed = random.randrange(1 << 30) if LONG else 1

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        f"{live.base_url}/api/openapi.json",
        *("--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"),
        *("--max-examples", str(max(5, LONG // OPERATIONS + 1)), "--seed", str(seed)),
        *("--generation-database", "none", "--report-json-path", str(report)),
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()

    assert process.returncode == 0, output
    assert json.loads(report.read_text())["complete"]
    if LONG:
        sys.stdout.write(output)
