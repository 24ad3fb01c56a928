"""Bytes nobody meant, against the gateway: `python -m fuzz` looks for them, `seeds/` keeps what counted."""
