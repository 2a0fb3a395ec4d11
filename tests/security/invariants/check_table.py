#!/usr/bin/env python3
"""Checks table.toml: each invariant is there, is asserted by what exists, and
has a guard in guards.toml without which a test was seen failing.

The words of "by":

  trace NAME          a rule of rules.py or pullers.py
  test PROGRAM NAME   a test below build/dev/tests, "Suite.Name"
  script PATH         a script that hack/test.sh runs
  check NAME          a function below
"""

import os
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUILD = os.path.join(ROOT, "build/dev")
sys.path.insert(0, HERE)
import pullers  # noqa: E402
import rules  # noqa: E402

COUNT = 20


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          check=True, timeout=60).stdout


def tests_of(program, known={}):  # noqa: B006: a cache
    """All tests of a program, without what parameters add."""
    if program not in known:
        names, suite = set(), ""
        path = os.path.join(BUILD, "tests", program)
        for line in output_of(path, "--gtest_list_tests").splitlines():
            name = line.split("#")[0].strip()
            if not line.startswith(" "):
                suite = name.rstrip(".").split("/")[-1]
            else:
                names.add(f"{suite}.{name.split('/')[0]}")
        known[program] = names
    return known[program]


def steps_are_shared():
    """The steps from attach-stdio on are the same for start and exec."""
    tables = {"init": [], "exec-child": []}
    listed = output_of(os.path.join(BUILD, "bin/caisson-keeper"),
                       "--list-steps")
    for line in listed.splitlines():
        table, step = line.split()
        if table in tables:
            tables[table].append(step)
    last = {name: steps[steps.index("attach-stdio"):]
            for name, steps in tables.items()}
    for step in ("await-start", "run-start-hooks"):
        last["init"].remove(step)
    return last["init"] == last["exec-child"]


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def exists(word):
    kind, *rest = word.split()
    if kind == "trace":
        return any(rest[0] == rule.__name__ for table in
                   (rules.KEEPERS, pullers.PULLERS)
                   for checks in table.values() for rule in checks)
    if kind == "test":
        return rest[1] in tests_of(rest[0])
    if kind == "script":
        return os.access(os.path.join(ROOT, rest[0]), os.X_OK) and \
            os.path.basename(rest[0]) in read("hack/test.sh")
    return kind == "check" and globals()[rest[0]]()


def main():
    table = tomllib.loads(read("tests/security/invariants/table.toml"))
    guards = tomllib.loads(read("tests/security/guards.toml"))["guard"]
    wrong = []
    rows = {row["number"]: row for row in table["invariant"]}
    for number in range(1, COUNT + 1):
        row = rows.get(number, {"by": []})
        if not row["by"]:
            wrong.append(f"{number} is not asserted")
        wrong += [f"{number}: there is no {word}" for word in row["by"]
                  if not exists(word)]
        if not any(guard["name"].startswith(f"I{number} ")
                   for guard in guards):
            wrong.append(f"{number} has no guard in guards.toml")
    for text in wrong:
        print(f"table: {text}")
    if not wrong:
        print(f"table: {COUNT} invariants, asserted by "
              f"{sum(len(row['by']) for row in rows.values())} checks")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
