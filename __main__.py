"""The Pulumi program: settings, topology, outputs."""

from __future__ import annotations

import sys

import pulumi

from stacks import outputs, settings, supply, topology
from stacks.problem import SettingsError


def main() -> None:
    """Build the environment of the stack being run."""
    try:
        config = settings.load_settings()
        artifacts = supply.resolve(config)
    except SettingsError as error:
        # A message for people: no traceback, and nothing has been created yet.
        pulumi.log.error(str(error))
        sys.exit(1)
    built = topology.build(config, artifacts, pulumi.get_stack())
    for name, value in outputs.outputs(built).items():
        pulumi.export(name, value)


main()
