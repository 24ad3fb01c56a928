"""Redis, which all members share as their state store, and its password."""
