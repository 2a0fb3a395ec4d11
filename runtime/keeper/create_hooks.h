#pragma once

#include "runtime/keeper/container.h"

// Hooks of a container's creation: programs of the host that change its root
// before anything runs in it, as those of GPUs do (OCI runtime specification,
// "createContainer").
//
// They run as the host's root, for they write where no id of the pod may, and
// see the host's files at "/": their loader and libraries are the host's.  Of
// the container there is a directory only, `rootfs` of its bundle, with /proc
// and /sys of the host in it (catalogue A13, CVE-2025-23266).  Their mount
// namespace is a copy of the host's that nothing leaves; what they mount
// below rootfs the container gets, locked.  The network, ipc and uts
// namespaces are the pod's; the pid namespace and the cgroup are not, so that
// no process of the pod sees them.
namespace caisson::keeper {

// The step of the container table: lends the root of the child, which awaits
// it, to the hooks of the plan, one after the other, and hands it back.  What
// they leave belongs to the pod's ids.  Nothing for a plan without hooks.
StepResult RunCreateHooks(CreateContext& context);

}  // namespace caisson::keeper
