"""The bundled mesh: CRDs, gateways, hub, memberships, exports and policies."""
