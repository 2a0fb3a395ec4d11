#include <unistd.h>

#include <cstdio>

// Prints its effective user: setuid root in an image, it tells whether
// no_new_privs is in force.
int main() {
  printf("Effective uid: %u\n", geteuid());
  return 0;
}
