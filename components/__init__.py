"""What an environment is made of: one ComponentResource per file, rendered values by pure functions."""
