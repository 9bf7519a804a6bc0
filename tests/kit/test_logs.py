"""Logs: a sentence and fields, that people or programs can read whatever is in them."""

import json
import logging
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pullse.kit import logs

log = logging.getLogger("pullse.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging as it was, for the tests that follow."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def json_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_json_line_has_sentence_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "INFO")
    log.warning("Jobs wait: %s", "the database is away", extra={"job": 7, "request_id": "r-1"})

    line = json_line(capsys)
    assert line.pop("at").endswith("Z") or "+00:00" in line["at"]
    assert line == {
        "level": "WARNING",
        "logger": "pullse.test",
        "message": "Jobs wait: the database is away",
        "job": 7,
        "request_id": "r-1",
    }


def test_an_exception_stays_on_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "INFO")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("It failed")

    line = json_line(capsys)
    assert "ValueError: first\nsecond" in line["trace"]
    assert "test_logs.py" in line["trace"]


@pytest.mark.parametrize(
    "value",
    [
        Path("/tmp"),
        UUID(int=7),
        b"bytes",
        {1, 2},
        {("a", 1): 2},
        float("nan"),
        Decimal("1.5"),
        object(),
        "new\nline",
        "nul\0",
        "half a \ud800 surrogate",
        1 << 70,
    ],
    ids=lambda value: type(value).__name__ + str(value)[:4].encode("ascii", "replace").decode(),
)
def test_any_value_makes_a_json_line(capsys: pytest.CaptureFixture[str], value: object) -> None:
    logs.set_up("json", "INFO")
    log.info("Said %s", value, extra={"value": value})

    assert json_line(capsys)["message"].startswith("Said ")


def test_text_is_one_readable_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "INFO")
    log.info("Worker %d ended", 2, extra={"code": 1, "why": None})

    assert capsys.readouterr().err.endswith(" INFO    Worker 2 ended  [code=1]\n")


def test_text_has_the_trace_below(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "INFO")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("It failed", extra={"job": 3})

    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR   It failed  [job=3]")
    assert rest[-1] == "ValueError: no"


def test_less_than_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "WARNING")
    log.info("quiet")
    assert capsys.readouterr().err == ""


def test_libraries_speak_only_of_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "DEBUG")
    logging.getLogger("httpx").info("HTTP Request: GET http://…?key=secret")
    logging.getLogger("ably").info("chatty")
    assert capsys.readouterr().err == ""


def test_setting_up_twice_says_things_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "INFO")
    logs.set_up("text", "INFO")
    log.info("once")
    assert capsys.readouterr().err.count("once") == 1
    assert sys.stderr is not None
