"""Replacement plugin `docker`: Image, Network, Volume and Container through the Docker Engine API."""
