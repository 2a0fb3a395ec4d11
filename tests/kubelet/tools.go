//go:build tools

// Package kubelet pins the kubelet that caisson is tested with.
package kubelet

import _ "k8s.io/kubernetes/cmd/kubelet"
