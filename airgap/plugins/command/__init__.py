"""Replacement plugin `command`: local.Command and local.run."""
