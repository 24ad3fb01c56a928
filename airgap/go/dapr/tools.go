//go:build tools

// Package dapr pins Dapr's programs. It requires Dapr alone, so that each gets the versions it was released
// with; in ../platform Kubernetes would raise them, and its etcd is 3.6 where Dapr's scheduler embeds 3.5.
package dapr

import (
	_ "github.com/dapr/dapr/cmd/daprd"
	_ "github.com/dapr/dapr/cmd/injector"
	_ "github.com/dapr/dapr/cmd/operator"
	_ "github.com/dapr/dapr/cmd/placement"
	_ "github.com/dapr/dapr/cmd/scheduler"
	_ "github.com/dapr/dapr/cmd/sentry"
)
