"""The Pulumi package: serves the components to programs in every Pulumi language."""

from importlib.metadata import version

from multicluster_dapr import GlobalTrafficPolicy, Mesh, ServiceExport
from pulumi.provider.experimental import component_provider_host

NAME = "multicluster-dapr"

if __name__ == "__main__":
    component_provider_host([GlobalTrafficPolicy, Mesh, ServiceExport], NAME, version=version(NAME))
