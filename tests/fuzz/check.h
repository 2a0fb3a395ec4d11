#pragma once

#include <cstdio>
#include <cstdlib>

// What must hold whatever the input is; a failure is a finding, as a crash is.
#define FUZZ_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) {                                                    \
      fprintf(stderr, "does not hold: %s (%s:%d)\n", #condition, __FILE__, \
              __LINE__);                                                   \
      abort();                                                             \
    }                                                                      \
  } while (false)
