"""Capabilities: what matches what, what is refused, and that intersections are exact."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullse.gateway.capability import (
    EVERYTHING,
    NOTHING,
    OPERATIONS,
    SEEN_AT_MOST,
    Capability,
    Resource,
)
from pullse.gateway.errors import Failure

PLAIN = ["a", "a:b", "a:b:c", "a:b:c:d", "b", "b:a", ":", "a:", "a::b", "foo*", "*", "a:*"]
SPECIAL = ["[meta]a", "[meta]a:b", "[queue]a", "[]a", "[*]a", "[meta", "[x]", "[?rewind=1]a"]
NAMES = PLAIN + SPECIAL


def may(resource: str, channel: str) -> bool:
    return Capability.parse({resource: ["subscribe"]}).allows(channel, "subscribe")


def met(one: dict[str, Any], two: dict[str, Any]) -> Any:
    return json.loads(Capability.parse(one).intersect(Capability.parse(two)).text)


@pytest.mark.parametrize(
    ("resource", "channels"),
    [
        ("*", PLAIN),
        ("[*]*", NAMES),
        ("[meta]*", ["[meta]a", "[meta]a:b"]),
        ("[queue]*", ["[queue]a"]),
        ("a:*", ["a:b", "a:b:c", "a:b:c:d", "a:", "a::b", "a:*"]),
        ("a:*:c", ["a:b:c"]),
        ("*:b", ["a:b"]),
        ("*:*", ["a:b", "a:b:c", "a:b:c:d", "b:a", ":", "a:", "a::b", "a:*"]),
        ("*:*:c", ["a:b:c"]),
        ("foo*", ["foo*"]),
        ("a", ["a"]),
        ("a:b", ["a:b"]),
        ("[*]a", ["a", "[meta]a", "[queue]a", "[]a", "[*]a", "[?rewind=1]a"]),
        ("[meta", ["[meta"]),
    ],
)
def test_a_resource_covers_these_channels_and_no_others(resource: str, channels: list[str]) -> None:
    assert [name for name in NAMES if may(resource, name)] == [
        name for name in NAMES if name in channels
    ]


def test_the_operations_of_all_that_match_add_up() -> None:
    found = Capability.parse(
        {"*": ["subscribe"], "a:*": ["publish", "history"], "a:b": ["presence"], "b:*": ["*"]}
    )
    assert found.ops("a:b") == {"subscribe", "publish", "history", "presence"}
    assert found.ops("x") == {"subscribe"}
    assert found.ops("b:c") == OPERATIONS
    assert found.ops("[meta]x") == frozenset()
    assert found.allows("b:c", "channel-metadata")
    assert not found.allows("b:c", "fly")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '"*"',
        "{}",
        "{",
        "[" * 5000,
        '{"a":"subscribe"}',
        '{"a":[]}',
        '{"a":null}',
        '{"a":[1]}',
        '{"a":["publish_"]}',
        '{"a":["Subscribe"]}',
        '{"a":["*","publish"]}',
        '{"a":["publish"],"b":[]}',
        '{"":["*"]}',
        '{"a\\u0000":["*"]}',
        '{"a\\ud800":["*"]}',
        json.dumps({f"channel:{number}": ["*"] for number in range(1000)}),
        None,
        1,
        ["*"],
        {},
        {"a": "subscribe"},
        {"a\ud800": ["*"]},
        {1: ["*"]},
        {"a": [["*"]]},
        {"a": {"*": 1}},
    ],
)
def test_what_makes_no_sense_is_a_bad_request(wrong: object) -> None:
    with pytest.raises(Failure) as refusal:
        Capability.parse(wrong)
    assert (refusal.value.code, refusal.value.status) == (40000, 400)


def test_its_text_is_canonical() -> None:
    text = '{ "b:*" : ["subscribe", "publish", "publish"], "a": ["*"], "é": ["history"] }'
    found = Capability.parse(text)
    assert found.text == '{"a":["*"],"b:*":["publish","subscribe"],"é":["history"]}'
    assert Capability.parse(found.text) == found == Capability.parse(json.loads(text))
    assert hash(Capability.parse(found.text)) == hash(found)
    assert sorted(found.resources) == ["a", "b:*", "é"]
    assert not found.is_empty
    assert NOTHING.is_empty
    assert (NOTHING.text, EVERYTHING.text) == ("{}", '{"[*]*":["*"]}')


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [
        ({"a:*": ["*"]}, {"*": ["*"]}, {"a:*": ["*"]}),
        ({"a:*": ["*"]}, {"[*]*": ["*"]}, {"a:*": ["*"]}),
        ({"*": ["*"]}, {"[*]*": ["*"]}, {"*": ["*"]}),
        ({"[meta]*": ["*"]}, {"*": ["*"]}, {}),
        ({"[meta]*": ["*"]}, {"[*]log": ["*"]}, {"[meta]log": ["*"]}),
        ({"a:*": ["*"]}, {"*:b": ["*"]}, {"a:b": ["*"]}),
        ({"a:*:c": ["*"]}, {"*:b:*": ["*"]}, {"a:b:c": ["*"]}),
        ({"a:*": ["*"]}, {"*:b:*": ["*"]}, {"a:b:*": ["*"]}),
        ({"a:*": ["*"]}, {"a": ["*"]}, {}),
        ({"a": ["*"]}, {"b": ["*"]}, {}),
        ({"a:*": ["*"]}, {"b:*": ["*"]}, {}),
        ({"a": ["publish"]}, {"a": ["subscribe"]}, {}),
        ({"a": ["*"]}, {"a": ["subscribe", "publish"]}, {"a": ["publish", "subscribe"]}),
        (
            {"a": ["presence", "subscribe"], "x": ["presence", "subscribe"]},
            {"a": ["publish", "subscribe"]},
            {"a": ["subscribe"]},
        ),
        (
            {"a:b": ["*"]},
            {"a:*": ["publish"], "*": ["history"]},
            {"a:b": ["history", "publish"]},
        ),
        (
            {"*": ["*"]},
            {"a": ["publish"], "b:*": ["*"], "b:c": ["history"]},
            {"a": ["publish"], "b:*": ["*"], "b:c": ["history"]},
        ),
    ],
)
def test_an_intersection_is_what_both_cover(
    one: dict[str, list[str]], two: dict[str, list[str]], both: dict[str, list[str]]
) -> None:
    assert met(one, two) == both
    assert met(two, one) == both


def test_whoever_asks_for_what_the_key_has_gets_it_as_it_is() -> None:
    """Resources that lie within others stay."""
    text = (
        '{"canpublish:*":["publish"],"canpublish:andpresence":["presence","publish"],'
        '"cansubscribe:*":["subscribe"],"pushenabled:*":["publish","push-subscribe","subscribe"],'
        '"pushenabled:admin:*":["publish","push-admin","subscribe"]}'
    )
    key = Capability.parse(text)
    assert key.intersect(Capability.parse(json.loads(text))).text == text
    assert key.intersect(Capability.parse({"*": ["*"]})).text == text


def test_a_small_request_can_not_make_much_work() -> None:
    many = Capability.parse({f"*:{number}": ["*"] for number in range(600)})
    others = Capability.parse({f"{number}:*": ["*"] for number in range(600)})
    with pytest.raises(Failure, match="too large"):
        many.intersect(others)


def test_it_does_not_remember_channels_without_end() -> None:
    found = Capability.parse({"a:*": ["subscribe"]})
    for number in range(3 * SEEN_AT_MOST):
        assert found.allows(f"a:{number}", "subscribe")
        assert not found.allows(f"b:{number}", "subscribe")
    assert not found.allows("c" * 2000, "subscribe")
    assert len(found._seen) <= SEEN_AT_MOST
    assert max(map(len, found._seen)) < 250


segments = st.sampled_from(["a", "b", "*", "", "a*"])
kinds = st.sampled_from(["", "", "", "[meta]", "[*]"])
names = st.builds(
    lambda kind, parts: kind + ":".join(parts),
    kinds,
    st.lists(segments, min_size=1, max_size=4),
).filter(bool)
operations = st.one_of(
    st.just(["*"]),
    st.lists(
        st.sampled_from(["subscribe", "publish", "history"]), min_size=1, max_size=3, unique=True
    ),
)
capabilities = st.dictionaries(names, operations, min_size=1, max_size=4).map(Capability.parse)


@given(capabilities, capabilities, st.lists(names, min_size=1, max_size=20))
def test_an_intersection_allows_exactly_what_both_allow(
    one: Capability, two: Capability, channels: list[str]
) -> None:
    both = one.intersect(two)
    for channel in channels:
        assert both.ops(channel) == one.ops(channel) & two.ops(channel), channel
    assert both == two.intersect(one)
    assert both.is_empty or Capability.parse(both.text) == both


@given(capabilities, capabilities, capabilities, names)
def test_intersecting_again_never_gives_anything_back(
    one: Capability, two: Capability, three: Capability, channel: str
) -> None:
    both = one.intersect(two)
    less = both.intersect(three)
    assert less.ops(channel) <= both.ops(channel)
    assert less.ops(channel) == one.intersect(two.intersect(three)).ops(channel)


@given(names)
def test_a_resource_is_read_back_from_its_text(name: str) -> None:
    resource = Resource.parse(name)
    assert resource.text == name
    assert Resource.parse(resource.text) == resource


@given(names, names)
def test_matching_goes_by_the_rule_of_segments(pattern: str, channel: str) -> None:
    """Against the rule written down another way, as a search for whole segments."""

    def kind_and_rest(text: str) -> tuple[str, list[str]]:
        head, bracket, rest = text.partition("]") if text.startswith("[") else ("", "", text)
        return head + bracket, rest.split(":")

    def covers(own: list[str], other: list[str]) -> bool:
        if own == ["*"]:
            return len(other) >= 1
        if not own or not other:
            return own == other
        return own[0] in ("*", other[0]) and covers(own[1:], other[1:])

    (own_kind, own), (kind, other) = kind_and_rest(pattern), kind_and_rest(channel)
    assert may(pattern, channel) == (own_kind in (kind, "[*]") and covers(own, other))
