//go:build tools

// Package conformance pins the clients that caisson is tested with.
package conformance

import (
	_ "sigs.k8s.io/cri-tools/cmd/crictl"
	_ "sigs.k8s.io/cri-tools/cmd/critest"
)
