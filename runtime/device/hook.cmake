# Running hooks, for keepers too: without the readers of specs.
caisson_library(runtime_hook SOURCES hook.cc USES runtime_kernel)
