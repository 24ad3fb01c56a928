"""Kubernetes clusters, created with k3d or existing, and the Docker network of those of k3d."""
