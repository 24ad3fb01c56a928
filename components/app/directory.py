"""A folder of Kustomize, as objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes


class Directory(kubernetes.kustomize.v2.Directory):  # type: ignore[misc]  # the SDK has no types
    """The SDK's, with the type of what it made: that says text, and then refuses the list that comes."""

    @property
    @pulumi.getter
    def resources(self) -> pulumi.Output[Sequence[Any] | None]:
        made: pulumi.Output[Sequence[Any] | None] = pulumi.get(self, "resources")
        return made
