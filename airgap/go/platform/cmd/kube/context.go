package main

import (
	"context"

	"k8s.io/apiserver/pkg/server"
)

// nodeContext ends on SIGTERM or SIGINT, which is how the kubelet wants to be stopped.
func nodeContext() context.Context { return server.SetupSignalContext() }
