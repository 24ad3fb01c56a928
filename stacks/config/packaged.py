"""Apps that come as a Helm chart or as manifests: where these are, and with which values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr

from stacks.config.values import DnsLabel, Number, Section

RelativePath = Annotated[str, Field(pattern=r"^[^/~]", max_length=4096)]
"""A path from the folder that the environment's file is in: the same on every machine."""
ValuePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]


class ChartSettings(Section):
    """A Helm chart, installed as a release, as `helm install` does."""

    path: RelativePath | None = Field(
        default=None, description="Folder of the chart, from that of this file."
    )
    name: str | None = Field(
        default=None, min_length=1, description="Or its name in `repository`, or an oci:// reference."
    )
    repository: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        default=None, description="URL of the repository."
    )
    version: str | None = Field(default=None, min_length=1, description="Version; default the newest.")
    release: DnsLabel | None = Field(default=None, description="Name of the release; default the app's.")
    values: dict[str, Any] = Field(default={}, description="Values of the chart.")
    secret_values: dict[ValuePath, SecretStr] = Field(
        default={},
        description="Values that `pulumi config set --secret --path` encrypts, by their path in the values, "
        "such as auth.password.",
    )
    timeout_seconds: Annotated[Number, Field(ge=1, le=3600)] = Field(
        default=300, description="Time until its pods have to be ready."
    )

    def with_changes(self, other: ChartSettings) -> ChartSettings:
        """This chart as it differs elsewhere: values are laid over values, key by key."""
        changes = {key: getattr(other, key) for key in other.model_fields_set}
        if "path" in changes or "name" in changes:  # one takes the place of the other
            changes |= {"path": other.path, "name": other.name}
        for key in ("values", "secret_values"):
            if key in changes:
                changes[key] = overlaid(getattr(self, key), changes[key])
        return self.model_copy(update=changes)


class ManifestsSettings(Section):
    """Objects as files have them. Those without a namespace are put into the app's."""

    files: tuple[RelativePath, ...] = Field(
        default=(), description="Files from the folder of this one; * stands for what has no slash."
    )
    kustomize: RelativePath | None = Field(
        default=None, description="Or a folder with a kustomization, from that of this file."
    )


def overlaid(mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Values with others over them, key by key, as Helm lays one file over another."""
    both = dict(mine)
    for key, value in theirs.items():
        below = both.get(key)
        both[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both
