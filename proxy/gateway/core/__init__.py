"""Decisions without I/O and without a clock: objects in, routes and choices out; bytes in, messages out."""
