"""What can be measured, by the names `./stack bench` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import failover, hops, memory, platform, policy, proxy, rotation, steps
from bench.figures import Result
from bench.setting import Bench

Section = Callable[[Bench], Result]
SECTIONS: Mapping[str, Section] = {
    "proxy": proxy.measure,
    "steps": steps.measure,
    "memory": memory.measure,
    "hops": hops.measure,
    "policy": policy.measure,
    "failover": failover.measure,
    "rotation": rotation.measure,
    "stack": platform.measure,
}
WITH_PEERS = {"proxy", "steps", "memory", "failover"}
"""Sections that compare with other proxies."""
BUILT = {"traefik": WITH_PEERS, "daprd": {"hops"}}
"""What is built from a Go module, once, and the sections that run it."""
