"""What the commands know of the gateway's objects is what the gateway knows of them."""

from __future__ import annotations

from itertools import product
from typing import Any

from cli.observe import view
from gateway.core import objects, route


def test_names_and_defaults_are_the_gateways() -> None:
    assert view.DERIVED == objects.DERIVED
    assert view.SERVICE_NAME == objects.SERVICE_NAME
    assert view.SLICE_MANAGED_BY == objects.SLICE_MANAGED_BY
    assert view.SLICE_WRITER == objects.GATEWAY
    assert view.DEFAULT_WEIGHT == route.DEFAULT_WEIGHT


def test_a_derived_service_is_one_to_both() -> None:
    labelled: list[dict[str, str]] = [{}, dict(list(objects.DERIVED.items())[:1]), objects.DERIVED]
    for labels, selector in product(labelled, (None, {"app": "x"})):
        service: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"selector": selector}}
        assert view.is_derived(service) == objects.is_derived_service(service)
