"""What runs: every cluster of an environment read at once, as values that pure functions judge."""
