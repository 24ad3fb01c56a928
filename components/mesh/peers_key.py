"""The key by which the gateways of an environment know each other, kept as a secret in the state."""

from __future__ import annotations

import pulumi

from ..drawn_secret import draw

# Every POSIX system has these; 32 random bytes as 64 hexadecimal digits.
GENERATE = "od -An -N32 -tx1 /dev/urandom | tr -d ' \\n'"


class PeersKey(pulumi.ComponentResource):
    """Creates one command that nothing triggers again: the key stays until it is replaced on purpose."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:PeersKey", name, None, opts)
        self.value = draw(f"{name}-random", GENERATE, self)
        self.register_outputs({})
