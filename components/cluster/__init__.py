"""Kubernetes clusters, made here or existing, and the Docker network of those made here."""
