"""Replacement of the Python language host: runs the Pulumi program in a child interpreter."""
