"""Tests of the package as other programs use it."""
