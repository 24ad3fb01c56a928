"""A password generated once and kept as a secret in the state."""

from __future__ import annotations

import pulumi

from components.drawn_secret import draw

# Every POSIX system has these; 24 random bytes as 48 hexadecimal digits.
GENERATE = "od -An -N24 -tx1 /dev/urandom | tr -d ' \\n'"


class GeneratedPassword(pulumi.ComponentResource):
    """Creates one command that nothing triggers again: the password stays until it is replaced on purpose."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:redis:GeneratedPassword", name, None, opts)
        self.value = draw(f"{name}-random", GENERATE, self)
        self.register_outputs({})
