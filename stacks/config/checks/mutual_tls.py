"""Rules about mutual TLS between gateways: where they listen for it, and how long certificates count."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem

NODE_PORTS = range(30000, 32768)
CERTIFICATES_PER_ROOT = 4
"""A root is followed by another at half of its time, and is trusted until its last certificate has ended."""
NOT_FOR_FSM, BUNDLED = "has no meaning for FSM's gateways", "Remove it, or use `mesh: bundled`."


def gateways_are_reached(settings: Settings) -> Iterator[Problem]:
    """Who is asked over TLS has a port for it, and who cannot be has none."""
    strict = settings.gateway.mutual_tls == "strict"
    if settings.mesh == "flomesh" and settings.gateway.mutual_tls != "off":
        yield Problem("gateway.mutualTls", settings.gateway.mutual_tls, NOT_FOR_FSM, BUNDLED)
    for index, cluster in enumerate(settings.clusters):
        where, port = f"clusters[{index}].peersPort", cluster.peers_port
        if port is None:
            if strict and cluster.role == "member":
                reason = f"missing for {cluster.name}, and gateway.mutualTls is strict: nobody could ask it"
                yield Problem(where, None, reason, "Set the port at which gateways of others reach its own.")
        elif cluster.role == "control-plane":
            reason = "has no meaning for the control plane, whose gateway no other one asks"
            yield Problem(where, port, reason, "Remove it.")
        elif settings.mesh == "flomesh":
            yield Problem(where, port, NOT_FOR_FSM, BUNDLED)
        elif cluster.source == "existing" and port == cluster.gateway_port:
            yield Problem(where, port, "is gatewayPort as well", "Give each its own port.")
        elif cluster.source == "existing" and (port in NODE_PORTS) != (cluster.gateway_port in NODE_PORTS):
            reason = f"and gatewayPort {cluster.gateway_port} are of one Service: only one is a node port"
            hint = f"Choose both from {NODE_PORTS.start} to {NODE_PORTS.stop - 1}, or neither."
            yield Problem(where, port, reason, hint)


def certificates_end_in_time(settings: Settings) -> Iterator[Problem]:
    """A root outlives what it issues."""
    hours, days = settings.gateway.certificate_hours, settings.gateway.root_days
    if hours * CERTIFICATES_PER_ROOT > days * 24:
        reason = f"is more than a quarter of gateway.rootDays, which is {days:g}"
        hint = f"Choose {days * 24 / CERTIFICATES_PER_ROOT:g} at most, or more days."
        yield Problem("gateway.certificateHours", hours, reason, hint)
