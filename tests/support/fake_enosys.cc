// caisson-fake-enosys CALL[:INDEX=VALUE]... -- PROGRAM ARGUMENT...
//
// Becomes PROGRAM on a kernel that lacks the named system calls: for it and
// all it starts they fail with ENOSYS.  With VALUE only where the argument of
// that index is that number.

#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

int AddRule(scmp_filter_ctx context, const std::string& word) {
  const size_t colon = word.find(':');
  const size_t equals = word.find('=');
  const int call = seccomp_syscall_resolve_name(word.substr(0, colon).c_str());
  if (call == __NR_SCMP_ERROR) {
    return -EINVAL;
  }
  if (equals == std::string::npos) {
    return seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), call, 0);
  }
  scmp_arg_cmp wanted = {};
  wanted.arg = static_cast<unsigned>(atoi(word.c_str() + colon + 1));
  wanted.op = SCMP_CMP_EQ;
  wanted.datum_a = strtoul(word.c_str() + equals + 1, nullptr, 0);
  return seccomp_rule_add_array(context, SCMP_ACT_ERRNO(ENOSYS), call, 1,
                                &wanted);
}

}  // namespace

int main(int argc, char** argv) {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  int i = 1;
  // As root it needs none, and what is tested may set it itself.
  int failed = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0);
  for (; i < argc && strcmp(argv[i], "--") != 0 && failed == 0; ++i) {
    failed = AddRule(context, argv[i]);
  }
  if (failed == 0) {
    failed = seccomp_load(context);
  }
  if (failed != 0 || i + 1 >= argc) {
    fprintf(stderr, "caisson-fake-enosys: %s\n",
            failed == 0 ? "no program" : strerror(-failed));
    return 2;
  }
  seccomp_release(context);
  execv(argv[i + 1], argv + i + 1);
  perror("caisson-fake-enosys: exec");
  return 2;
}
