"""YAML by libyaml, which takes a seventh of the time, where PyYAML has it."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class TwiceError(yaml.YAMLError):
    """A key stands twice in one mapping: YAML forbids it (1.2.2, 3.2.1.3), PyYAML takes the last one."""


def load(text: str) -> Any:
    """The value of a document. Raises yaml.YAMLError that shows the line."""
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_twice(node, set())
        return loader.construct_document(node)
    except TwiceError:
        raise
    except yaml.YAMLError:
        return yaml.safe_load(text)  # libyaml's errors do not show it
    finally:
        loader.dispose()


def dump(value: Any) -> str:
    """A document with keys in their order."""
    text: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=False)
    return text


def _refuse_twice(node: yaml.Node, seen: set[int]) -> None:
    """`seen`: nodes looked at before, for those that aliases lead to again."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item, seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in lines:
                first = lines[key.value]
                raise TwiceError(f"the key {key.value!r} stands twice, in lines {first} and {line}")
            lines[key.value] = line
        _refuse_twice(value, seen)
