// Package v4 has the structured arguments of helm.sh/v4:Chart, in the forms the engine's SDK asks for:
// plain values, inputs that may be outputs of others, and outputs.
package v4

import (
	"context"
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RepositoryOpts says where a chart comes from.
type RepositoryOpts struct {
	CaFile   pulumi.AssetOrArchive `pulumi:"caFile"`
	CertFile pulumi.AssetOrArchive `pulumi:"certFile"`
	KeyFile  pulumi.AssetOrArchive `pulumi:"keyFile"`
	Password *string               `pulumi:"password"`
	Repo     *string               `pulumi:"repo"`
	Username *string               `pulumi:"username"`
}

// RepositoryOptsArgs is RepositoryOpts of inputs.
type RepositoryOptsArgs struct {
	CaFile   pulumi.AssetOrArchiveInput `pulumi:"caFile"`
	CertFile pulumi.AssetOrArchiveInput `pulumi:"certFile"`
	KeyFile  pulumi.AssetOrArchiveInput `pulumi:"keyFile"`
	Password pulumi.StringPtrInput      `pulumi:"password"`
	Repo     pulumi.StringPtrInput      `pulumi:"repo"`
	Username pulumi.StringPtrInput      `pulumi:"username"`
}

// RepositoryOptsInput is either form of it.
type RepositoryOptsInput interface {
	pulumi.Input
	ToRepositoryOptsOutputWithContext(ctx context.Context) RepositoryOptsOutput
}

// RepositoryOptsOutput is RepositoryOpts that is not known yet.
type RepositoryOptsOutput struct{ *pulumi.OutputState }

func (RepositoryOptsArgs) ElementType() reflect.Type   { return reflect.TypeFor[RepositoryOpts]() }
func (RepositoryOptsOutput) ElementType() reflect.Type { return reflect.TypeFor[RepositoryOpts]() }

func (a RepositoryOptsArgs) ToRepositoryOptsOutputWithContext(ctx context.Context) RepositoryOptsOutput {
	return pulumi.ToOutputWithContext(ctx, a).(RepositoryOptsOutput)
}

func (o RepositoryOptsOutput) ToRepositoryOptsOutputWithContext(context.Context) RepositoryOptsOutput {
	return o
}

// PostRenderer is a program that a chart's manifests go through.
type PostRenderer struct {
	Args    []string `pulumi:"args"`
	Command string   `pulumi:"command"`
}

// PostRendererArgs is PostRenderer of inputs.
type PostRendererArgs struct {
	Args    pulumi.StringArrayInput `pulumi:"args"`
	Command pulumi.StringInput      `pulumi:"command"`
}

// PostRendererInput is either form of it.
type PostRendererInput interface {
	pulumi.Input
	ToPostRendererOutputWithContext(ctx context.Context) PostRendererOutput
}

// PostRendererOutput is PostRenderer that is not known yet.
type PostRendererOutput struct{ *pulumi.OutputState }

func (PostRendererArgs) ElementType() reflect.Type   { return reflect.TypeFor[PostRenderer]() }
func (PostRendererOutput) ElementType() reflect.Type { return reflect.TypeFor[PostRenderer]() }

func (a PostRendererArgs) ToPostRendererOutputWithContext(ctx context.Context) PostRendererOutput {
	return pulumi.ToOutputWithContext(ctx, a).(PostRendererOutput)
}

func (o PostRendererOutput) ToPostRendererOutputWithContext(context.Context) PostRendererOutput { return o }

func init() {
	pulumi.RegisterInputType(reflect.TypeFor[RepositoryOptsInput](), RepositoryOptsArgs{})
	pulumi.RegisterInputType(reflect.TypeFor[PostRendererInput](), PostRendererArgs{})
	pulumi.RegisterOutputType(RepositoryOptsOutput{})
	pulumi.RegisterOutputType(PostRendererOutput{})
}
