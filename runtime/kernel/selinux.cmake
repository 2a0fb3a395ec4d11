# What the policy says, for the daemon: keepers are static and ask the kernel.
caisson_library(runtime_selinux SOURCES selinux_policy.cc
  USES runtime_kernel PkgConfig::SELINUX)
