#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace caisson::cri_test {

// The process that the keepers of this run are forked from; `directory` is the
// run's.
pid_t ForkServerOf(const std::string& directory);

// What Strace has to see of a fork server for OpensInside().
inline constexpr char kCallsOfSetUps[] =
    "open,openat,openat2,clone,clone3,fork,vfork,unshare,setns,pivot_root,"
    "execve";

// Of such a trace's lines the calls of open(2) and its kin that set-ups of
// containers and execs made while among a container's mounts: from their own
// mount namespace on, up to execve(2).
std::vector<std::string> OpensInside(const std::vector<std::string>& lines);

}  // namespace caisson::cri_test
