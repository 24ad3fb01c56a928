"""Stand-ins for Pulumi plugins in a closed network: language host, command, docker, kubernetes.

They cover what this program and its documented use declare and refuse the rest at Check, by name.
"""
