"""Mutual TLS between gateways, as gateway, controller and hub are told of it."""

from __future__ import annotations

from dataclasses import dataclass

OFF, PERMISSIVE, STRICT = "off", "permissive", "strict"
MODES = (OFF, "accept", PERMISSIVE, STRICT)
PORT = 15443
"""Where gateways listen for those of other clusters."""
# What the gateway's own code has in kube/authority.py; a test compares.
CA_SECRET = "gateway-ca"  # noqa: S105 - the name of the Secret
CERTIFICATE_SECRET = "gateway-certificate"  # noqa: S105 - the name of the Secret
OWN_CA_SECRET = "gateway-own-ca"  # noqa: S105 - the name of the Secret
FOLDER = "/etc/gateway/certificate"


@dataclass(frozen=True, kw_only=True)
class MutualTls:
    """`mode` is one of MODES. Certificates count for `certificate_hours`, roots for `root_days`."""

    mode: str = OFF
    certificate_hours: float = 24
    root_days: float = 3650

    @property
    def on(self) -> bool:
        return self.mode != OFF

    def gateway_arguments(self) -> list[str]:
        """Arguments of `gateway run`."""
        if not self.on:
            return []
        return [f"--mutual-tls={self.mode}", f"--peers=[::]:{PORT}", f"--certificate={FOLDER}"]

    def controller_arguments(self) -> list[str]:
        """Arguments of `gateway control`."""
        if not self.on:
            return []
        return [
            f"--mutual-tls={self.mode}",
            f"--certificate-hours={self.certificate_hours:.15g}",
            f"--root-days={self.root_days:.15g}",
        ]

    def hub_arguments(self) -> list[str]:
        """Arguments of `gateway hub`."""
        return [f"--mutual-tls={self.mode}"] if self.on else []


NO_TLS = MutualTls()
