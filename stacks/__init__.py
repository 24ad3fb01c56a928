"""What an environment is: its settings, where its artifacts come from, and the topology that wires components."""
