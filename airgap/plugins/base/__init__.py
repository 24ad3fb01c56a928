"""What all replacement plugins share: protocol, values, diffs, logs, start-up."""
