"""The value codec and the diff helper."""

from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from airgap.plugins.base.diff import compare, format_path, top_level
from airgap.plugins.base.values import (
    ASSET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    Secret,
    copy_secrets,
    decode,
    drop_nulls,
    encode,
    has_secret,
    has_unknown,
    plain,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(UNKNOWN),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | inner.map(lambda value: value if isinstance(value, Secret) else Secret(value))
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_values_survive_the_wire(values: dict[str, Any]) -> None:
    assert decode(encode(values)) == values


def test_whole_numbers_come_back_as_integers() -> None:
    message = struct_pb2.Struct()
    message.update({"replicas": 3.0, "share": 0.5})
    decoded = decode(message)
    assert decoded == {"replicas": 3, "share": 0.5}
    assert isinstance(decoded["replicas"], int), "Go's integer fields reject 3.0"


@pytest.mark.parametrize(
    "text",
    ["1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", "04da6b54-80e4-46f7-96ec-b56ff0331ba9"],
)
def test_every_kind_of_unknown_is_the_same_unknown(text: str) -> None:
    message = struct_pb2.Struct()
    message.update({"value": text})
    assert decode(message)["value"] is UNKNOWN


def test_assets_pass_untouched() -> None:
    asset = {SIGNATURE: ASSET_SIGNATURE, "path": "", "hash": "ab", "text": "content"}
    assert decode(encode({"asset": asset})) == {"asset": asset}


def test_secrets_are_found_stripped_and_never_printed() -> None:
    value = {"a": Secret({"b": [1, UNKNOWN]}), "c": None}
    assert plain(value) == {"a": {"b": [1, UNKNOWN]}, "c": None}
    assert has_secret(value)
    assert has_unknown(value)
    assert "1" not in repr(value["a"])
    assert drop_nulls(value) == {"a": Secret({"b": [1, UNKNOWN]})}


def test_secretness_is_copied_by_path_and_a_list_with_a_secret_is_secret_as_a_whole() -> None:
    source = {"data": {"a": Secret("x"), "b": "y"}, "list": ["p", Secret("q")], "gone": Secret("z")}
    target = {"data": {"a": "x", "b": "y", "c": "n"}, "list": ["p", "q"], "other": 1}
    assert copy_secrets(source, target) == {
        "data": {"a": Secret("x"), "b": "y", "c": "n"},
        "list": Secret(["p", "q"]),
        "other": 1,
    }


PATHS = [
    (("spec", "containers", 0, "image"), "spec.containers[0].image"),
    (("metadata", "annotations", "x.y/z"), 'metadata.annotations["x.y/z"]'),
    (("metadata", "labels", "a-b"), "metadata.labels.a-b"),
    (("x.y", 'q"t'), '["x.y"]["q\\"t"]'),
]


@pytest.mark.parametrize(("path", "text"), PATHS)
def test_paths_are_written_as_the_engine_does(path: tuple[str | int, ...], text: str) -> None:
    assert format_path(path) == text


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {("a",): "update"}),
        ({"a": {"b": 1, "c": 2}}, {}, {("a",): "delete"}),
        ({}, {"a": {"b": 1}}, {("a",): "add"}),
        ({"l": [1, 2, 3]}, {"l": [1, 5]}, {("l", 1): "update", ("l", 2): "delete"}),
        ({"a": "x"}, {"a": UNKNOWN}, {("a",): "update"}),
        ({"a": Secret("x")}, {"a": "x"}, {}),
        ({"a": [1]}, {"a": {"0": 1}}, {("a",): "update"}),
    ],
)
def test_differences_have_their_path_and_kind(old: Any, new: Any, changes: dict[Any, str]) -> None:
    assert compare(old, new) == changes


def test_secretness_can_count_as_a_difference() -> None:
    assert compare({"a": Secret("x")}, {"a": "x"}, secrecy=True) == {("a",): "update"}


def test_what_changed_inside_a_property_is_an_update_of_it() -> None:
    changes = compare({"a": {"b": 1}, "c": 1}, {"a": {"b": 2, "d": 3}})
    assert top_level(changes) == {("a",): "update", ("c",): "delete"}


@given(VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    if not has_unknown(value):
        assert compare(value, value) == {}
