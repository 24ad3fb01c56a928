"""Container images built on the machine's own Docker daemon, and the supply map that names them."""

from airgap.images.supply import ensure_supply, to_build

__all__ = ["ensure_supply", "to_build"]
