"""Header matches: what is read, what is refused, and which requests have what they ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.fields import FieldError
from gateway.core.header_match import (
    BACKEND_REFS,
    LONGEST_VALUE,
    MATCH,
    PATTERNS,
    HeaderPattern,
    HeaderPatterns,
    memory_of_matches,
    read_match,
)
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.rewrite import MAX_PROGRAM_BYTES, SIMPLE_BYTES
from gateway.kube.capacity import MEMORY_PER_BYTE, weigh

CANARY = {"name": "X-Canary", "value": "true"}
TEAM = {"name": "team", "value": "(blue|green)-[0-9]+", "type": "RegularExpression"}


def takes(raw: Any, *fields: str) -> bool:
    lines = "".join(f"{field}\r\n" for field in fields)
    head = parse_request_head(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode("latin-1"), Limits())
    found = read_match(raw, "match")
    assert found is not None
    return found.takes(head.by_name())


@pytest.mark.parametrize(
    ("headers", "fields", "taken"),
    [
        ([CANARY], ["x-canary: true"], True),
        ([CANARY], ["X-CANARY:true  "], True),
        ([CANARY], ["x-canary: True"], False),
        ([CANARY], ["x-canary: true1"], False),
        ([CANARY], ["x-canary-2: true"], False),
        ([CANARY], [], False),
        ([CANARY], ["x-canary: true", "x-canary: true"], False),
        ([{"name": "a", "value": "1, 2"}], ["a: 1", "A:\t2"], True),
        ([{**CANARY, "type": "Exact"}], ["x-canary: true"], True),
        ([TEAM], ["team: blue-12"], True),
        ([TEAM], ["team: xblue-12"], False),
        ([TEAM], ["team: blue-12x"], False),
        ([TEAM], ["team: green"], False),
        ([{**TEAM, "value": "a|ab"}], ["team: ab"], True),
        ([{**TEAM, "value": ".+"}], ["team: caf\xe9"], True),
        ([{**TEAM, "value": ".*"}], ["team:"], True),
        ([{**TEAM, "value": ".*"}], ["other: x"], False),
        ([{**TEAM, "value": "a*"}], ["team: " + "a" * LONGEST_VALUE], True),
        ([{**TEAM, "value": "a*"}], ["team: " + "a" * (LONGEST_VALUE + 1)], False),
        ([CANARY, TEAM], ["x-canary: true"], False),
        ([CANARY, TEAM], ["team: blue-1", "x-canary: true"], True),
    ],
)
def test_a_request_has_all_of_the_headers_or_does_not_match(
    headers: list[dict[str, str]], fields: list[str], taken: bool
) -> None:
    assert takes({"headers": headers}, *fields) is taken


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "give a mapping of headers"),
        ({}, "match.headers is None"),
        ({"headers": []}, "give a list of 1 to 16"),
        ({"headers": [CANARY] * 17}, "give a list of 1 to 16"),
        ({"header": [CANARY]}, "has 'header', which has no meaning"),
        ({"headers": ["x-canary"]}, r"headers\[0\] is 'x-canary': give a mapping"),
        ({"headers": [CANARY, {**CANARY, "name": "x-canary"}]}, "names one header twice"),
        ({"headers": [{**CANARY, "name": "x canary"}]}, r"headers\[0\].name is 'x canary'"),
        ({"headers": [{**CANARY, "name": "a" * 257}]}, "give the name of a header"),
        ({"headers": [{"value": "true"}]}, "name is None"),
        ({"headers": [{**CANARY, "type": "Prefix"}]}, "type is 'Prefix': give Exact or RegularExpression"),
        ({"headers": [{**CANARY, "type": []}]}, "type is "),
        ({"headers": [{**CANARY, "value": True}]}, "value is True: give 1 to 1024 characters"),
        ({"headers": [{**CANARY, "value": ""}]}, "value is ''"),
        ({"headers": [{**CANARY, "value": " a"}]}, "no space at either end"),
        ({"headers": [{**CANARY, "value": "a\nb"}]}, "printable ASCII"),
        ({"headers": [{**CANARY, "value": "a" * 1025}]}, "1 to 1024"),
        ({"headers": [{**TEAM, "value": "(a"}]}, "value: '.a' is not a pattern RE2 accepts"),
        ({"headers": [{**TEAM, "value": "(?=a)"}]}, "is not a pattern RE2 accepts"),
        ({"headers": [{**TEAM, "value": "(a{1,1000}){1,1000}"}]}, "is not a pattern RE2 accepts"),
    ],
)
def test_what_no_request_could_be_told_by_is_named(raw: Any, named: str) -> None:
    with pytest.raises(FieldError, match=named) as found:
        read_match(raw, "match")
    assert found.value.reason == "InvalidMatch"
    assert len(str(found.value)) < 2000


def test_no_match_is_none() -> None:
    assert read_match(None, "match") is None


def test_a_match_reads_as_one_would_say_it() -> None:
    assert str(read_match({"headers": [CANARY, TEAM]}, "")) == "X-Canary: true, team ~ (blue|green)-[0-9]+"


def test_equal_patterns_are_compiled_once_and_a_full_cache_starts_again() -> None:
    assert PATTERNS.get("a+") is PATTERNS.get("a+")
    assert HeaderPattern("a+") == HeaderPattern("a+") != HeaderPattern("b")
    assert hash(HeaderPattern("a+")) == hash(HeaderPattern("a+"))
    assert HeaderPattern("a+") != "a+"
    small = HeaderPatterns(SIMPLE_BYTES)
    first = small.get("a")
    small.get("b")
    assert small.size == SIMPLE_BYTES
    assert small.get("a") is not first


def test_patterns_weigh_what_they_may_come_to_take(make: Any) -> None:
    policy = make.policy("ActiveActive", c1=1)
    before = weigh(policy, 1 << 30)
    wide = {**TEAM, "value": "." * 9}
    policy["metadata"]["annotations"] = {MATCH: json.dumps({"any": {"headers": [wide, CANARY, TEAM, 5]}})}
    assert memory_of_matches(policy) == MAX_PROGRAM_BYTES + SIMPLE_BYTES
    assert weigh(policy, 1 << 30) > before + (MAX_PROGRAM_BYTES + SIMPLE_BYTES) // MEMORY_PER_BYTE
    assert memory_of_matches({"metadata": {"annotations": {BACKEND_REFS: "{", MATCH: "5"}}}) == 0
    escaped = {
        "metadata": {"annotations": {BACKEND_REFS: '[{"type":"Regular\\u0045xpression","value":"a"}]'}}
    }
    assert memory_of_matches(escaped) == SIMPLE_BYTES
