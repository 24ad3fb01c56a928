"""The engine's plugins in a closed network: where they are put, and replacements for some.

Replaced are the language host, `command` and `docker`. They cover what this program and its documented use
declare and refuse the rest at Check, by name.
"""
