"""Good and hostile traffic at once on the real platform, for as long as asked: `python -m e2e.soak`."""
