"""The Pulumi program: settings, topology, outputs."""

from __future__ import annotations

import sys

import pulumi

from stacks.config import kubeconfigs, loading, supply
from stacks.config.problem import Findings, SettingsError
from stacks.program import outputs, topology


def main() -> None:
    """Build the environment of the stack being run."""
    try:
        config = loading.load_settings()
        findings = Findings()
        with findings.gather():
            artifacts = supply.resolve(config)
        with findings.gather():
            existing = kubeconfigs.read(config)
        findings.refuse()
    except SettingsError as error:
        # A message for people: no traceback, and nothing has been created yet.
        pulumi.log.error(str(error))
        sys.exit(1)
    built = topology.build(config, artifacts, existing, pulumi.get_stack())
    for name, value in outputs.outputs(built).items():
        pulumi.export(name, value)


main()
