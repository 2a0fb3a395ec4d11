#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>

#include "api/cri/v1/api.pb.h"

// What holds for each process of each container, whatever the test is about:
// invariants 6, 8, 9, 10 and 11 of tests/security/catalogue.md.  Facts are read
// from the host's /proc; the test fails where they differ.
namespace caisson::cri_test {

// Of a container that waits for its start: it has its standard files and a
// channel that execve closes, is a sealed and static program without an
// environment, and nobody but the host's root may look into it.  `info` is
// what ContainerStatus says beside the status.
void AuditCreated(const nlohmann::json& info);

// Of the program that was asked for, in `pid`: an init or an exec.  No files
// but standard ones; identity, capabilities, no_new_privileges, seccomp, maps,
// namespaces and read-only mounts are what the requests and `info` say.
void AuditProcess(pid_t pid, const nlohmann::json& info,
                  const ::runtime::v1::PodSandboxConfig& pod,
                  const ::runtime::v1::ContainerConfig& container);

}  // namespace caisson::cri_test
