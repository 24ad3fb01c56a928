"""What all provider stand-ins share: protocol, values, diffs, logs, start-up."""
