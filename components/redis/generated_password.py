"""A password generated once and kept as a secret in the state."""

from __future__ import annotations

import pulumi
import pulumi_command as command

# Every POSIX system has these; 24 random bytes as 48 hexadecimal digits.
GENERATE = "od -An -N24 -tx1 /dev/urandom | tr -d ' \\n'"


class GeneratedPassword(pulumi.ComponentResource):
    """Creates one command that nothing triggers again: the password stays until it is replaced on purpose."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:redis:GeneratedPassword", name, None, opts)
        random = command.local.Command(
            f"{name}-random",
            create=GENERATE,
            logging=command.local.Logging.NONE,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["stdout"]),
        )
        self.value = pulumi.Output.secret(random.stdout)
        # Not the secret: the engine's debugging log prints what components register, marked or not.
        self.register_outputs({})
