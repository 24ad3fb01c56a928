//go:build tools

// Package traefik pins Traefik, which ./stack bench compares the gateway with. It has a module of its own
// because Traefik replaces modules: go.mod repeats its replacements, as those of a dependency do not count.
package traefik

import _ "github.com/traefik/traefik/v3/cmd/traefik"
