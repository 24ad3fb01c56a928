"""The topology: which components an environment has, and what waits for what."""
