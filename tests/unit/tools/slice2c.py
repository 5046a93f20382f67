#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slice2c against its golden output, bad inputs and damaged ones.
usage: slice2c.py SLICE2C DATADIR [--update]     (--update writes the golden files anew)"""
import os
import random
import subprocess
import sys
import tempfile

tool, data = sys.argv[1], sys.argv[2]
failures = 0
# A sanitizer's report must not look like an ordinary refusal.
env = dict(os.environ, ASAN_OPTIONS="exitcode=99", UBSAN_OPTIONS="exitcode=99:halt_on_error=1")


def run(directory, name, out):
    args = [tool, "-I", directory + "=" + os.path.basename(directory), "-o", out, "--registry", "golden", name]
    return subprocess.run(args, capture_output=True, text=True, errors="replace", env=env, timeout=60)


def check(ok, text):
    global failures
    if not ok:
        failures += 1
        print("FAIL", text)


def golden(out):
    done = run(data, "golden.ice", out)
    check(done.returncode == 0 and not done.stderr, "golden.ice: " + done.stderr)
    made = {}
    for top, _, names in os.walk(out):
        for name in names:
            with open(os.path.join(top, name), encoding="utf-8") as f:
                made[name] = f.read()
    kept = os.path.join(data, "golden")
    if "--update" in sys.argv:
        for name, text in made.items():
            with open(os.path.join(kept, name), "w", encoding="utf-8") as f:
                f.write(text)
    check(sorted(os.listdir(kept)) == sorted(made), "golden: files are %s" % sorted(made))
    for name, text in made.items():
        with open(os.path.join(kept, name), encoding="utf-8") as f:
            check(f.read() == text, "golden/%s differs; see slice2c.py --update" % name)


def bad(out):
    """The first line of a bad file says where and how it is refused."""
    directory = os.path.join(data, "bad")
    names = sorted(os.listdir(directory))
    check(len(names) >= 50, "only %d bad inputs" % len(names))
    for name in names:
        path = os.path.join(directory, name)
        with open(path, encoding="utf-8") as f:
            line, text = f.readline()[3:].rstrip("\n").split(": ", 1)
        want = "%s:%s: %s\n" % (path, line, text.replace("{file}", path))
        done = run(directory, name, out)
        check(done.returncode == 1 and done.stderr == want,
              "bad/%s: exit %d\n  want %s  got  %s" % (name, done.returncode, want, done.stderr))
    check(not os.listdir(out), "bad inputs left output behind")


def damaged(out):
    """Cut anywhere, or with a byte changed: refused or accepted, never a crash."""
    with open(os.path.join(data, "golden.ice"), "rb") as f:
        text = f.read()
    rnd = random.Random(1)
    cases = [text[:n] for n in range(0, len(text), 17)]
    for _ in range(120):
        at = rnd.randrange(len(text))
        cases.append(text[:at] + bytes([rnd.randrange(256)]) + text[at + rnd.randrange(3):])
    directory = os.path.join(out, "in")
    os.mkdir(directory)
    for i, case in enumerate(cases):
        with open(os.path.join(directory, "d.ice"), "wb") as f:
            f.write(case)
        done = run(directory, "d.ice", os.path.join(out, "gen"))
        check(done.returncode in (0, 1), "damaged case %d: exit %d\n%s" % (i, done.returncode, done.stderr))


for part in (golden, bad, damaged):
    with tempfile.TemporaryDirectory() as tmp:
        part(tmp)
sys.exit(1 if failures else 0)
