"""The Pulumi package: serves the components to programs in every Pulumi language."""

import json
import sys
from importlib.metadata import version

from multicluster_dapr import GlobalTrafficPolicy, Mesh, ServiceExport
from pulumi.provider import main
from pulumi.provider.experimental.component import ComponentProvider

NAME = "multicluster-dapr"


class Package(ComponentProvider):
    """What the SDK's component provider host serves, with a schema that the generator of Go takes, too.

    Of itself that makes no argument type for an object that stands in a list alone (pulumi/pkg 3.259).
    """

    def __init__(self) -> None:
        super().__init__([GlobalTrafficPolicy, Mesh, ServiceExport], NAME, version=version(NAME))
        schema = json.loads(str(self.schema))
        schema["language"]["go"]["generateExtraInputTypes"] = True
        self.schema = json.dumps(schema)


if __name__ == "__main__":
    main(Package(), sys.argv[1:])
