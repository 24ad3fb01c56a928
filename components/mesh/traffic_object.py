"""What ServiceExports and GlobalTrafficPolicies have in common: objects of a service for the gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes


def traffic_object(
    kind: str,
    service: pulumi.Input[str],
    namespace: pulumi.Input[str],
    annotations: Mapping[str, pulumi.Input[str]],
    spec: Mapping[str, Any],
) -> dict[str, Any]:
    """The object, named as its service, with what is not known yet as an output."""
    # Left out rather than empty: the provider drops an empty mapping, and finds it missing at every preview.
    extra = {"annotations": annotations} if annotations else {}
    return {
        "apiVersion": "flomesh.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": service, "namespace": namespace, **extra},
        "spec": spec,
    }


def create(name: str, made: Mapping[str, Any], parent: pulumi.Resource, opts: pulumi.ResourceOptions) -> None:
    """Create it inside a component that was made with `opts`."""
    kubernetes.apiextensions.CustomResource(
        f"{name}-object",
        api_version=made["apiVersion"],
        kind=made["kind"],
        metadata=made["metadata"],
        spec=made["spec"],
        # Its name is fixed: replaced on demand, the engine would else delete what it has just upserted.
        opts=pulumi.ResourceOptions(
            parent=parent, deleted_with=opts.deleted_with, delete_before_replace=True
        ),
    )
