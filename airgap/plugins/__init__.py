"""Stand-ins for Pulumi plugins that a closed network cannot download: language host, command, docker, kubernetes.

They cover what this program and its documented use declare and refuse the rest at Check, by name.
"""
