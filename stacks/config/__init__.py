"""The settings of an environment: model, checks, loading, kubeconfigs, and sources of artifacts."""
