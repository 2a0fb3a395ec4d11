//go:build tools

// Package runc pins what containerd runs containers with in the bench.
package runc

import _ "github.com/opencontainers/runc"
