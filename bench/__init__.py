"""Measurements of our own parts, always against a peer or a smaller size in the same run."""
