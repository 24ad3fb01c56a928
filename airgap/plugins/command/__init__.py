"""Stand-in for the `command` package: local.Command and local.run."""
