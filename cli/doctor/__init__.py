"""What is wrong, why, and what to do: thin edges gather facts, pure functions turn them into checks."""
