#!/usr/bin/env python3
"""Checks a trace of strace -f -y: check_trace.py keepers|pullers FILE PID

  keepers   PID is the fork server's
  pullers   PID is the daemon's
"""

import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pullers  # noqa: E402
import rules  # noqa: E402
import stories  # noqa: E402
import trace  # noqa: E402

KINDS = ("container", "exec", "holder", "pod-init", "hooks")
SHOWN = 5


def check(number, rule, subject):
    seen = collections.Counter()
    wrong = list(rule(subject, seen))
    nothing = [name for name, count in seen.items() if count == 0]
    if not seen or nothing:
        wrong.append(f"looked at nothing: {nothing or 'at all'}")
    for text in wrong[:SHOWN]:
        print(f"invariant {number}: {rule.__name__}: {text[:600]}")
    if not wrong:
        print(f"invariant {number}: {rule.__name__}: holds for "
              + ", ".join(f"{count} {name}" for name, count in seen.items()))
    return not wrong


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("keepers", "pullers"):
        sys.exit(__doc__)
    traced = trace.Trace(sys.argv[2])
    pid = int(sys.argv[3])
    good = True
    if sys.argv[1] == "keepers":
        subject = stories.stories_of(traced, pid)
        kinds = collections.Counter(story.kind for story in subject)
        print("traced:", dict(kinds))
        for kind in kinds - collections.Counter(KINDS):
            if kind not in KINDS:
                print(f"stages of no known kind: {kinds[kind]}")
                good = False
        for kind in KINDS:
            if not kinds[kind]:
                print(f"no {kind} was traced")
                good = False
        table = rules.KEEPERS
    else:
        subject = pullers.pullers_of(traced, pid)
        table = pullers.PULLERS
    for number, checks in table.items():
        for rule in checks:
            good = check(number, rule, subject) and good
    sys.exit(not good)


if __name__ == "__main__":
    main()
