// Package v2 registers the objects of the yaml/v2 and helm.sh/v4 components.
package v2

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// object is a resource of any kind: its outputs are in the state, and no Go code reads them.
type object struct{ pulumi.CustomResourceState }

// Token is the resource type of a kind: in types, the group without a name is called core.
func Token(apiVersion, kind string) string {
	if !strings.Contains(apiVersion, "/") {
		apiVersion = "core/" + apiVersion
	}
	return "kubernetes:" + apiVersion + ":" + kind
}

// RegisterResource registers one object under its kind's type.
func RegisterResource(
	ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input, opts ...pulumi.ResourceOption,
) (pulumi.CustomResource, error) {
	resource := new(object)
	err := ctx.RegisterResource(Token(apiVersion, kind), name, props, resource, opts...)
	return resource, err
}
