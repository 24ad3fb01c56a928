"""What the commands know of the gateway's objects is what the gateway knows of them."""

from __future__ import annotations

from itertools import product
from typing import Any

from cli.observe import callers, services, view
from gateway.core import derived_names, every_caller, objects, route
from gateway.kube import http_endpoints


def test_names_and_defaults_are_the_gateways() -> None:
    assert services.DERIVED == objects.DERIVED
    assert services.SERVICE_NAME == objects.SERVICE_NAME
    assert services.SLICE_MANAGED_BY == objects.SLICE_MANAGED_BY
    assert services.WRITER == objects.GATEWAY
    assert services.LOCAL_OF == derived_names.LOCAL_OF
    assert services.SELECTOR == derived_names.SELECTOR
    assert services.cluster_set_key(("n", "s")) == ("n", derived_names.cluster_set_name("s"))
    assert callers.EVERY_CALLER == derived_names.EVERY_CALLER
    assert callers.IMPORT_OF == http_endpoints.IMPORT_OF
    assert view.DEFAULT_WEIGHT == route.DEFAULT_WEIGHT


def test_a_derived_service_is_one_to_both() -> None:
    labelled: list[dict[str, str]] = [{}, dict(list(objects.DERIVED.items())[:1]), objects.DERIVED]
    for labels, selector in product(labelled, (None, {"app": "x"})):
        service: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"selector": selector}}
        assert services.is_derived(service) == objects.is_derived_service(service)


def test_the_selector_of_a_service_is_the_same_to_both() -> None:
    for kept, own in product((None, '{"app": "x"}', "junk", "[]"), (None, {"app": "y"})):
        annotations = {derived_names.SELECTOR: kept} if kept else {}
        service: dict[str, Any] = {"metadata": {"annotations": annotations}, "spec": {"selector": own}}
        assert services.selector_of(service) == every_caller.selector_of(service)
