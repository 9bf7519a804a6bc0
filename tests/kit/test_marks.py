"""What is written in any language has no heap of marks; what holds a browser up has."""

import time

import pytest

from pullse.kit.marks import MOST, are_too_many
from tests.desk import attacks

PADDING = "\u200c\u200b\u200d\u200e\u200f\ufeff\u00ad"
"""What newsletters hide behind their first line."""


@pytest.mark.parametrize(
    "text",
    [
        *attacks.ATTACKS,
        "e\u0301" * 5_000,
        "\u05d1\u05bc\u05b0\u05e8\u05b5\u05d0\u05e9\u05b4\u0591\u05d9\u05ea " * 500,
        "\u0644\u0651\u0670\u0647\u0650 " * 500,
        "\u0e17\u0e35\u0e48\u0e19\u0e31\u0e49\u0e19" * 500,
        "\u0928\u092e\u0938\u094d\u0924\u0947 " * 500,
        PADDING * 100,
        "\u2764\ufe0f" * 5_000,
    ],
)
def test_no_language_has_too_many(text: str) -> None:
    assert not are_too_many(text)


@pytest.mark.parametrize("text", attacks.HEAPED)
def test_a_heap_has(text: str) -> None:
    assert are_too_many(text)
    assert are_too_many(f"Dear all,\n\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        ("a" + "\u0301" * MOST) * 490,
        ("\u0301" + "\u00ad" * 990) * 100,
        "\u202e" * 99_990,
        "\u0431\u0443\u043a\u0432\u044b " * 16_000,
        "\U0001d165" * 99_990,
    ],
)
def test_looking_takes_no_time_to_speak_of(text: str) -> None:
    are_too_many("\u0301" * (MOST + 1))
    started = time.process_time()
    assert not are_too_many(text)
    assert time.process_time() - started < 0.25
