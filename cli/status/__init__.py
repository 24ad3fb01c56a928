"""What runs and who serves what now: chosen rows of it, as tables and as JSON."""
