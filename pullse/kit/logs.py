"""Logs: one readable sentence plus fields, as text or as JSON lines, on standard error."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k not in STANDARD and v is not None}


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.getMessage()}"
        extra = " ".join(f"{name}={value}" for name, value in fields(record).items())
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return f"{line}  [{extra}]{trace}" if extra else line + trace


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except ValueError:  # a name of a file, say, that is not UTF-8
            return msgspec.json.encode({name: plain(line[name]) for name in line}).decode()


def plain(value: object) -> str:
    return str(value).encode(errors="backslashreplace").decode()


def set_up(format_: str, level: str) -> None:
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(JsonFormatter() if format_ == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[out], force=True)
    for name in ("httpx", "httpcore", "ably", "asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its pool tells of a database that is away with a trace each second; we say it in a sentence.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
