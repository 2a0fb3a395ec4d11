caisson_library(runtime_log_writer SOURCES log_writer.cc USES runtime_base)
