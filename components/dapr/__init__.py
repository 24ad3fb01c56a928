"""Dapr on a member cluster, and its state store."""
