"""What an environment is made of: one ComponentResource per file, its rendered values made by pure functions."""
