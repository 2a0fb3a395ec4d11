#!/usr/bin/env python3
"""Shows that the tests of security can fail: takes a guard out, and looks.

  hack/guards.py check           each text of tests/security/guards.toml is there once
  hack/guards.py run [NAME...]   builds without one guard at a time, in a copy of this tree
                                 below build/guards, and runs the tests that must go red

guards.toml is a list of [[guard]]:

  name      of the guard, and what rows of the catalogue it is for
  file      where it stands
  remove    text of that file, which occurs in it once
  instead   what stands there without the guard
  red       filters of tests (suite.name, with *), each of which must have a failing test; of a
            script its arguments, with each of which it must fail
  program   the test program, by default security_cri_test; *_cri_test get a daemon.  Or a
            script of this tree, by its path; those below tests/ get a daemon
  says      a part of what the failing test must print, lest it fail for another reason; optional

A list under "also" has further {file, remove, instead} of the same guard.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.join(ROOT, "build", "guards", "tree")
PROGRAMS = ("caissond", "caisson-keeper", "caisson-puller", "caissonctl")


def load():
    with open(os.path.join(ROOT, "tests/security/guards.toml"), "rb") as file:
        return tomllib.load(file)["guard"]


def changes_of(guard):
    return [guard, *guard.get("also", [])]


def check(guards):
    bad = 0
    for guard in guards:
        for change in changes_of(guard):
            with open(os.path.join(ROOT, change["file"]),
                      encoding="utf-8") as file:
                count = file.read().count(change["remove"])
            if count != 1:
                print(f"guards: {guard['name']}: its text is {count} times "
                      f"in {change['file']}", file=sys.stderr)
                bad = 1
    return bad


def shell(command, **options):
    return subprocess.run(command, cwd=TREE, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **options)


def copy_tree():
    """The files git knows or would take, where they are newer or differ."""
    os.makedirs(TREE, exist_ok=True)
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        if not os.path.exists(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as file:
            content = file.read()
        if os.path.exists(target):
            with open(target, "rb") as file:
                if file.read() == content:
                    continue
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def build(program=None):
    """All; or the programs that run and one of tests, which is much quicker."""
    wanted = []
    if program and "/" not in program:
        wanted = [f"bin/{name}" for name in PROGRAMS] + [f"tests/{program}"]
    result = shell(["ninja", "-C", "build/dev", *wanted])
    return "" if result.returncode == 0 else result.stdout[-3000:]


def take_out(guard):
    """Takes the guard out; the files as they were, by their paths."""
    before = {}
    for change in changes_of(guard):
        path = os.path.join(TREE, change["file"])
        with open(path, encoding="utf-8") as file:
            text = file.read()
        before.setdefault(path, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(change["remove"], change["instead"], 1))
    return before


def put_back(before):
    for path, text in before.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def run_tests(guard, test_filter):
    """Whether a test failed, and what was printed."""
    program = guard.get("program", "security_cri_test")
    if "/" in program:
        command = [program, *filter(None, [test_filter])]
        if program.startswith("tests/"):
            command = ["hack/with_caissond.sh", "--", *command]
        result = shell(["timeout", "--kill-after=200", "600", *command])
        return result.returncode != 0, result.stdout
    command = [f"build/dev/tests/{program}", f"--gtest_filter={test_filter}"]
    if program.endswith("_cri_test"):
        command = ["hack/with_caissond.sh", "--", *command]
    # Without its guard a test may wait for ever: red as well.
    result = shell(["timeout", "--kill-after=200", "180", *command])
    # A test that is killed says no more than what it saw before.
    failed = re.search(r"^\[  FAILED  \] |: Failure$", result.stdout, re.M)
    return failed or result.returncode in (124, 143), result.stdout


def programs():
    """What the programs that run are, for a test without its guard may write
    to them."""
    hashes = {}
    for name in PROGRAMS:
        path = os.path.join(TREE, "build/dev/bin", name)
        with open(path, "rb") as file:
            hashes[path] = hashlib.sha256(file.read()).digest()
    return hashes


def remove_changed(before):
    """The next build makes them again; the names of those."""
    changed = [path for path, now in programs().items() if now != before[path]]
    for path in changed:
        os.remove(path)
    return [os.path.basename(path) for path in changed]


def try_guard(guard):
    """What speaks against it: a text, empty when its tests went red."""
    before = take_out(guard)
    problem = build(guard.get("program", "security_cri_test"))
    if not problem:
        built = programs()
        for test_filter in guard["red"]:
            failed, output = run_tests(guard, test_filter)
            if not failed:
                problem += f"{test_filter} stays green\n{output[-1500:]}"
            elif guard.get("says", "") not in output:
                problem += f"{test_filter} fails otherwise\n{output[-3000:]}"
        for name in remove_changed(built):
            print("guards: a test has written to", name, flush=True)
    put_back(before)
    return problem


def prepare():
    copy_tree()
    configured = shell(["cmake", "--preset", "dev"])
    if configured.returncode != 0:
        sys.exit(configured.stdout)
    problem = build()
    if problem:
        sys.exit(problem)
    registry = os.path.join(ROOT, "build/guards/registry")
    address = shell(["hack/registry.sh", "start", registry]).stdout.strip()
    os.environ["CAISSON_TEST_REGISTRY"] = address
    os.environ["CAISSON_BIN"] = os.path.join(TREE, "build/dev/bin")
    # For scripts: crictl, and few tests under strace.
    os.environ.setdefault("CRICTL", os.path.join(ROOT, "build/tools/crictl"))
    os.environ.setdefault("CAISSON_WORKLOAD", "*UserNames*:*NoNewPriv*")
    made = shell(["hack/make_images.sh", address])
    if made.returncode != 0:
        sys.exit(made.stdout)


def run(guards):
    passed = 0
    try:
        prepare()
        for guard in guards:
            problem = try_guard(guard)
            print("STILL GREEN" if problem else "RED", guard["name"],
                  problem, flush=True)
            passed += not problem
    finally:
        shell(["hack/registry.sh", "stop",
               os.path.join(ROOT, "build/guards/registry")])
        shutil.rmtree(os.path.join(ROOT, "build/guards/registry"),
                      ignore_errors=True)
    print(f"{passed} passed, {len(guards) - passed} failed")
    return passed != len(guards)


def main():
    guards = load()
    if len(sys.argv) == 2 and sys.argv[1] == "check":
        sys.exit(check(guards))
    if len(sys.argv) < 2 or sys.argv[1] != "run":
        sys.exit(__doc__)
    names = sys.argv[2:]
    sys.exit(run([guard for guard in guards
                  if not names or guard["name"] in names]))


if __name__ == "__main__":
    main()
