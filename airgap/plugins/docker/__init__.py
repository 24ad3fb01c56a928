"""Stand-in for the `docker` package: Image, Network, Volume and Container through the Docker Engine API."""
