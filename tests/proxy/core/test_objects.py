"""Reading of any Kubernetes object: what is absent or of another shape is empty."""

from __future__ import annotations

import pytest

from gateway.core import objects
from gateway.core.derived_names import cluster_set_name, slice_name
from gateway.core.objects import (
    DERIVED,
    HUB,
    MANAGED_BY,
    covers,
    is_hub_import,
    listed,
    number,
    texts,
    uid_of,
    version_of,
)


def test_what_is_of_another_shape_is_empty() -> None:
    assert texts({"a": ["x", 1], "b": "x"}, "a") == ["x"]
    assert texts({"a": ["x", 1], "b": "x"}, "b") == []
    assert listed({"a": [{"x": 1}, 1], "b": {"x": 1}}, "a") == [{"x": 1}]
    assert listed({"a": [{"x": 1}, 1], "b": {"x": 1}}, "b") == []
    assert (number({"a": 3, "b": "3"}, "a"), number({"a": 3, "b": "3"}, "b")) == (3, 0)
    assert (version_of({}), uid_of({"metadata": "x"})) == ("", "")
    stored = {"metadata": {"resourceVersion": "7", "uid": "u"}}
    assert (version_of(stored), uid_of(stored)) == ("7", "u")


def test_an_import_is_the_hubs_by_its_label() -> None:
    assert is_hub_import({"metadata": {"labels": {MANAGED_BY: HUB}}})
    assert not is_hub_import({"metadata": {"labels": DERIVED}})


@pytest.mark.parametrize(
    ("actual", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ([], {"a": 1}, False),
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([1, 2], [1], False),
        ("x", ["x"], False),
    ],
)
def test_what_is_wanted_is_there_when_every_part_of_it_is(actual: object, wanted: object, same: bool) -> None:
    assert covers(actual, wanted) is same


def test_what_is_derived_from_a_service_is_named_after_it() -> None:
    assert (slice_name("app"), cluster_set_name("app")) == ("app-imported", "app-clusterset")


def test_a_service_that_somebody_has_taken_was_derived_and_is_no_more() -> None:
    labels = {**objects.DERIVED, objects.MANAGED_BY: "Helm"}
    taken = {"metadata": {"labels": labels}, "spec": {"selector": {"app": "shop"}}}
    assert objects.was_derived(taken)
    assert not objects.is_derived_service(taken)
    assert not objects.was_derived({"metadata": {"labels": {objects.MANAGED_BY: "Helm"}}})
