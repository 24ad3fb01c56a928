"""The apps of a member cluster."""
