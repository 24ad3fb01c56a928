"""The demo apps of a member cluster."""
