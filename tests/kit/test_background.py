"""Work that goes on as long as the process does."""

import asyncio
import contextlib
import logging

import pytest

from pullse.kit import background


async def test_work_that_ends_by_a_bug_starts_again_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "PAUSE", 0.01)
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise ValueError("a bug")
        await asyncio.sleep(60)

    async with background.running({"shaky": work}):
        async with asyncio.timeout(2):
            while starts < 3:
                await asyncio.sleep(0.005)
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "shaky" in errors[0].getMessage()


async def test_work_that_ends_by_itself_is_done() -> None:
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1

    async with background.running({"short": work}):
        await asyncio.sleep(0.05)
    assert starts == 1


async def test_one_work_that_fails_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "PAUSE", 0.01)
    turns = 0

    async def broken() -> None:
        raise ValueError("a bug")

    async def steady() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    async with background.running({"broken": broken, "steady": steady}):
        await asyncio.sleep(0.1)
    assert turns > 5


async def test_at_the_end_all_has_ended() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)  # closing takes a moment
            ended.append(True)

    async with background.running({"a": work, "b": work}):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ended == [True, True]


async def test_it_ends_too_when_the_block_fails() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with contextlib.suppress(ZeroDivisionError):
        async with background.running({"a": work}):
            await asyncio.sleep(0.01)
            raise ZeroDivisionError
    assert ended == [True]
