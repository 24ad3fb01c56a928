"""The Pulumi program: settings, topology, outputs."""

from __future__ import annotations

import sys

import pulumi

from stacks.config import kubeconfigs, loading, packages, present, registry, supply
from stacks.config.problem import Findings, SettingsError
from stacks.program import namespaces, outputs, sdk, topology


async def main() -> pulumi.Inputs:
    """Build the environment of the stack being run; its outputs."""
    try:
        config = loading.load_settings()
        findings = Findings()
        with findings.gather():
            artifacts = supply.resolve(config)
        with findings.gather():
            existing = kubeconfigs.read(config)
        with findings.gather():
            registry.login(config)
        with findings.gather():
            packages.check(config)
        findings.refuse()
        answers = present.ask_all(config, existing)
        with findings.gather():
            present.check(config, answers)
        with findings.gather():
            namespaces.check(config, pulumi.get_stack(), answers)
        findings.refuse()
    except SettingsError as error:
        # A message for people: no traceback, and nothing has been created yet.
        pulumi.log.error(str(error))
        sys.exit(1)
    for name, reason in answers.unanswered.items():
        pulumi.log.warn(f"cluster {name} could not be asked what it has already: {reason}")
    built = topology.build(config, artifacts, existing, pulumi.get_stack(), answers)
    await sdk.begun()
    return outputs.outputs(built, pulumi.get_stack())


sdk.collect_nothing()
sdk.keep_quiet()
sdk.forget_positions()
pulumi.run(main)
