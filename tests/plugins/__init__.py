"""Tests of the plugins against the real engine."""
