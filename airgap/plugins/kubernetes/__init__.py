"""Stand-in for the `kubernetes` package: objects through the API server, Helm releases through the helm CLI."""
