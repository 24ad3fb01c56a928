"""The Pulumi components, one per file, in packages named as the middle of their type tokens."""
