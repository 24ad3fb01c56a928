"""Stand-in for the `kubernetes` package: objects by the API server, Helm releases by the helm CLI."""
