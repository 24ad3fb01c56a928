"""Everything that talks to Kubernetes: the client, the watches, the gateway's controller and the hub."""
