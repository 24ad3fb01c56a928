"""What an environment is: settings, sources of its artifacts, the topology that wires components."""
