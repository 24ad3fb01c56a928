"""One archive of everything needed to diagnose, without secrets: pure redaction, thin edges that read."""
