"""YAML by libyaml: as PyYAML's own reader and writer have it, and with errors that show the line."""

from __future__ import annotations

import pytest
import yaml

from stacks.config import documents

VALUES = {
    "weight": 100,
    "off": False,
    "name": "é: - x",
    "none": None,
    "text": "a\nb\n",
    "list": [{"x": "1"}, "on"],
}


def test_what_is_written_is_read_the_same_by_either() -> None:
    text = documents.dump(VALUES)
    assert documents.load(text) == yaml.safe_load(text) == VALUES
    assert list(documents.load(text)) == list(VALUES), "keys keep their order"
    assert documents.load(yaml.safe_dump(VALUES)) == VALUES


@pytest.mark.parametrize(
    "text",
    ["clusters: [a\n", "a: 1\n b: 2\n", "a: !!python/object:os.system x\n", "a: 1\n? {a: 1}\n: 2\n"],
)
def test_an_error_shows_the_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError) as refused:
        documents.load(text)
    with pytest.raises(yaml.YAMLError) as shown:
        yaml.safe_load(text)
    assert str(refused.value) == str(shown.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice, in lines 1 and 3"),
        ("c:\n  - {x: 1, x: 1}\n", "the key 'x' stands twice, in lines 2 and 2"),
        ("a:\n  b:\n    c: 1\n    c: [2]\n", "the key 'c' stands twice, in lines 3 and 4"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str, said: str) -> None:
    with pytest.raises(documents.TwiceError, match=said):
        documents.load(text)


def test_anchors_and_merges_are_read_as_before() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}\nd: [*a, *a]\n"
    assert documents.load(text) == yaml.safe_load(text)


def test_an_empty_document_is_none() -> None:
    assert documents.load("") is documents.load("# a comment\n") is None
