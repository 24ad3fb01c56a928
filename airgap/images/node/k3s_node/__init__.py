"""A single-server Kubernetes node that looks like k3s from outside, so that k3d runs it unchanged.

Runs inside the node image with Debian's Python and nothing but the standard library.
What k3d expects of a node: the log lines `k3s is up and running` and `Cluster dns configmap`, a kubeconfig
with the names `default`, images imported from the folders named in `layout.py`, and a manifests folder that
is applied again when a file in it changes.
"""
