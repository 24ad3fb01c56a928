"""One image, two roles: the gateway carries HTTP between clusters, the hub tells the gateways what to carry.

`core` decides (no I/O, no clock), `edge` moves bytes, `kube` talks to Kubernetes; imports go only downwards
from `kube` and `edge` to `core`.
"""

__version__ = "0.1.0"
"""The version of the product: pyproject.toml, ./stack and scripts/release read it here."""
