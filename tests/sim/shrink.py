#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""shrink.py SIM_REPLICATION: of a planted bug, --shrink names the shortest run: it fails, one step less or one replica less
does not."""

import re
import subprocess
import sys

SIM = sys.argv[1]


def finds(bug, *arguments):
    """Whether the run finds the bug, and what it printed."""
    done = subprocess.run([SIM, "--plant", bug] + [str(a) for a in arguments], stdout=subprocess.PIPE, text=True)
    assert done.returncode in (0, 1), (done.returncode, done.stdout)
    return done.returncode == 0, done.stdout


def check(bug, seed):
    found, text = finds(bug, "--seed", seed, "--steps", 50000, "--shrink")
    assert found, "seed %d does not find `%s': choose another" % (seed, bug)
    shortest = re.search(r"^shortest: --seed (\d+) --steps (\d+) --replicas (\d+)$", text, re.M)
    assert shortest, text
    assert text.count("broken at") == 1, "the search is not silent:\n" + text
    same, steps, replicas = map(int, shortest.groups())
    assert same == seed and replicas >= 2 and 0 < steps < 50000, shortest.group(0)
    exact = ("--seed", seed, "--replicas", replicas, "--steps")
    assert finds(bug, *exact, steps)[0], "the shortest run does not fail"
    assert not finds(bug, *exact, steps - 1)[0], "a shorter one fails, too"
    for fewer in range(2, replicas):
        assert not finds(bug, "--seed", seed, "--replicas", fewer, "--steps", 50000)[0], "fewer replicas fail, too"


for bug, seed in (("early", 1), ("deaf", 1), ("settled", 1)):
    check(bug, seed)
