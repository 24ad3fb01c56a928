"""What runs: every cluster of an environment read at once, as values for pure functions."""
