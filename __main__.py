"""The Pulumi program: settings, topology, outputs."""

from __future__ import annotations

import sys

import pulumi

from stacks import outputs, settings, supply, topology
from stacks.problem import SettingsError


def main() -> None:
    """Build the environment of the stack being run."""
    environment = pulumi.get_stack()
    try:
        config = settings.load_settings()
        artifacts = supply.resolve(config)
    except SettingsError as error:
        # A message for people: no traceback, and nothing has been created yet.
        pulumi.log.error(str(error))
        sys.exit(1)
    built = topology.build(config, artifacts, environment)
    for name, value in outputs.outputs(built, environment).items():
        pulumi.export(name, value)


main()
