"""What an environment is: settings, checks between them, kubeconfigs, and where its artifacts come from."""
