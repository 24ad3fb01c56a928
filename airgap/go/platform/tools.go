//go:build tools

// Package tools pins what is built from this module besides cmd/kube.
package tools

import (
	_ "github.com/k3d-io/k3d/v5"
	_ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
	_ "helm.sh/helm/v3/cmd/helm"
)
