"""What is sound of settings with mistakes, so that the rules between values still run on it.

What cannot be read is taken out: a key leaves its default behind, or takes along the entry or the object that
cannot be without it. Nothing is reported that only follows from that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from stacks.config.explain import Location, field_at, guess, mistakes, path_of, section_of
from stacks.config.model import Settings
from stacks.config.problem import Problem

PATH = re.compile(r"\b[a-z]\w*(?:\[\d+\]|\.[a-z]\w*)+")
"""A path with an index or a dot, as messages have it."""


class Entries(dict[int, Any]):
    """A list by the positions its entries have in the file, which stay when others are taken out."""


@dataclass(frozen=True)
class Sound:
    """Settings without what is faulty, and how to read what is said about them.

    `broken` are keys of which nothing is left, `incomplete` lists that lack entries. Nothing more is said of
    what is at or below `gone`, and of objects, or lists of them, that are `shortened`, as such.
    """

    settings: Settings
    broken: frozenset[str] = frozenset()
    incomplete: frozenset[str] = frozenset()
    gone: tuple[str, ...] = ()
    shortened: frozenset[str] = frozenset()
    tree: Mapping[str, Any] | None = None

    def problem(self, found: Problem) -> Problem | None:
        """A problem by the positions of the file; None when it only follows from another one."""
        found = replace(
            found, path=self._original(found.path), reason=self._original(found.reason),
            hint=self._original(found.hint),
        )  # fmt: skip
        hidden = found.path in self.shortened or any(_is_in(found.path, gone) for gone in self.gone)
        return None if hidden or found.of_every in self.incomplete else found

    def _original(self, text: str) -> str:
        return PATH.sub(lambda match: self._moved(match[0]), text) if self.tree is not None else text

    def _moved(self, path: str) -> str:
        parts = re.findall(r"\w+", path)
        location = tuple(int(part) if part.isdigit() else part for part in parts)
        return path_of(_by_file(self.tree, location))


def sound_part(given: Mapping[str, Any], error: ValidationError) -> Sound:
    """What is left of the values `given`, in which the model has found these mistakes."""
    removal = _Removal({key: _by_position(value) for key, value in given.items()})
    while True:
        # All places first: taking one out moves those behind it.
        found = [(_by_file(removal.tree, one["loc"]), one["type"]) for one in mistakes(error)]
        for location, kind in found:
            removal.take(location, unknown=kind == "extra_forbidden")
        try:
            settings = Settings.model_validate(_as_lists(removal.tree))
        except ValidationError as further:  # a list is too short without its faulty entries
            error = further
            continue
        return Sound(
            settings,
            frozenset(removal.broken),
            frozenset(removal.incomplete),
            tuple(removal.gone),
            frozenset(removal.shortened),
            removal.tree,
        )


class _Removal:
    """Takes faulty values out of a tree, and keeps what went."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree
        self.broken: set[str] = set()
        self.incomplete: set[str] = set()
        self.gone: list[str] = []
        self.shortened: set[str] = set()

    def take(self, location: Location, *, unknown: bool = False) -> None:
        """Take out the value at a location, or what cannot be without it."""
        *around, last = location
        if isinstance(last, int):
            self._drop(location)
            if len(around) == 1:
                self.incomplete.add(path_of(tuple(around)))
        elif unknown:
            self._drop(location)
            if meant := guess(location):
                self.take((*around, meant))
        elif _can_be_without(location):
            self._drop(location)
        elif around:
            self.gone.append(path_of(location))
            self.take(tuple(around))
        else:
            self.broken.add(last)
            self._drop(location)
            if last == "clusters":
                self.tree[last] = Entries({0: {"name": "invalid"}})

    def _drop(self, location: Location) -> None:
        self.gone.append(path_of(location))
        around = field_at(location[:-1])
        if around is not None and section_of(around) is not None:
            self.shortened.add(path_of(location[:-1]))
        node: Any = self.tree
        for part in location[:-1]:
            node = node.get(part, {})
        node.pop(location[-1], None)


def _can_be_without(location: Location) -> bool:
    """Whether a key leaves a default that says nothing about the keys beside it, as a choice would."""
    field = field_at(location)
    if field is None or field.is_required():
        return False
    parts = (field.annotation, *get_args(field.annotation))  # a choice may be optional
    is_choice = len(location) == 1 or any(get_origin(part) is Literal for part in parts)
    return section_of(field) is not None or not is_choice


def _by_file(tree: Any, location: Location) -> Location:
    """A location in the lists of now, by the positions of the file."""
    node, found = tree, []
    for part in location:
        at = part
        if isinstance(node, Entries) and isinstance(part, int) and part < len(node):
            at = list(node)[part]
        found.append(at)
        node = node.get(at) if isinstance(node, dict) else None
    return tuple(found)


def _is_in(path: str, around: str) -> bool:
    return path == around or path.startswith((f"{around}.", f"{around}["))


def _by_position(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _by_position(item) for key, item in value.items()}
    return Entries(enumerate(map(_by_position, value))) if isinstance(value, list) else value


def _as_lists(node: Any) -> Any:
    if isinstance(node, Entries):
        return [_as_lists(item) for item in node.values()]
    return {key: _as_lists(item) for key, item in node.items()} if isinstance(node, dict) else node
