//go:build tools

// Package scheduler pins Dapr's scheduler. It has a module of its own because its
// embedded etcd is 3.5, while Kubernetes in ../platform needs 3.6.
package scheduler

import _ "github.com/dapr/dapr/cmd/scheduler"
