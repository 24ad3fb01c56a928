// Package kubernetes is what the provider uses of its generated Go SDK, written by hand.
//
// The generated one has a type for every kind, takes four fifths of the provider's build, and is used by the provider
// only to register the children of components, whose inputs have no types anyway.
package kubernetes

import "reflect"

// UntypedArgs are the inputs of a resource as plain values.
type UntypedArgs map[string]any

// ElementType is the type that the engine's SDK marshals them as.
func (UntypedArgs) ElementType() reflect.Type { return reflect.TypeFor[map[string]any]() }
