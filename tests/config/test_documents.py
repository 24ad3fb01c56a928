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


@pytest.mark.parametrize("text", ["clusters: [a\n", "a: 1\n b: 2\n", "a: !!python/object:os.system x\n"])
def test_an_error_shows_the_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError) as refused:
        documents.load(text)
    with pytest.raises(yaml.YAMLError) as shown:
        yaml.safe_load(text)
    assert str(refused.value) == str(shown.value)
