"""Tools, images and provider plugins made from language registries and Debian's packages alone.

Used only when the official ones cannot be had. Nothing here knows the Pulumi program; the two meet
in the supply map (see `supply.ensure_supply`).
"""
