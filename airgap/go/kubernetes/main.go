// Serves the official Kubernetes provider: its own package and its own schema, under the version it was released as.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

var version = "0.0.0-dev" // set by the linker

// The file lies in the provider's module, out of reach of an embed; the build lays it here (airgap/gobuild.py).
//
//go:embed schema.json
var schema []byte

func main() {
	provider.Serve("kubernetes", version, schema, []byte("{}")) // no mapping from Terraform's names: for converters only
}
