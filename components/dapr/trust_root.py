"""The root that the Dapr of all members trust, kept as a seed that is a secret in the state."""

from __future__ import annotations

import pulumi

from components.dapr import certificates
from components.dapr.certificates import Issuer, Seed
from components.drawn_secret import draw

# Every POSIX system has these: the time in seconds, and 32 random bytes as 64 hexadecimal digits.
DRAW = "date -u +%s && od -An -N32 -tx1 /dev/urandom | tr -d ' \\n'"


class TrustRoot(pulumi.ComponentResource):
    """Creates one command that nothing triggers again: the root stays until it is replaced on purpose."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:dapr:TrustRoot", name, None, opts)
        self._seed = draw(f"{name}-seed", DRAW, self).apply(Seed.parse)
        self.register_outputs({})

    def issuer(self, cluster: str) -> pulumi.Output[Issuer]:
        """What the Sentry of a cluster signs with, a secret."""
        return self._seed.apply(lambda seed: certificates.issuer(seed, cluster))
