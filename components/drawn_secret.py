"""A secret that one command draws once and the state keeps."""

from __future__ import annotations

import pulumi
import pulumi_command as command


def draw(name: str, shell: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """What `shell` prints, as a secret. Nothing triggers it again: it stays until it is replaced on purpose.

    The component that calls this registers no output of it: the engine's debugging log prints what components
    register, marked or not.
    """
    drawn = command.local.Command(
        name,
        create=shell,
        logging=command.local.Logging.NONE,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions(parent=parent, additional_secret_outputs=["stdout"]),
    )
    return pulumi.Output.secret(drawn.stdout)
