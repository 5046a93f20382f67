#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count.py REPORT FAILED [SECOND]: one line `N passed, N failed` over all single tests of a ctest run; FAILED is added to
the failed.  count.py --again REPORT: a pattern of those that are worth a second run.

A program that counts its own tests (cmocka's groups; the runners of tests/interop and tests/fault) counts as that many,
any other as one. A program that ctest calls failed counts as at least one failure.

Tests with real processes run two at a time and against the clock. A few of them that failed run once more with nothing beside
them, and what passes then is printed as varied and counts as what the second run (its report is SECOND) says. What a sanitizer
found never gets a second run.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

OWN = re.compile(r"^[\w ]+: (\d+) passed, (\d+) failed$", re.M)
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)\.", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] .*?(\d+) test\(s\)", re.M)
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|: runtime error: ")
REAL = ("interop_", "fault_")
AGAIN = 3  # more that fail are no accident


def output(case):
    return "".join(case.itertext())


def ok(case):
    return case.get("status") == "run" and case.find("failure") is None


def count(case):
    """(passed, failed) of one ctest entry."""
    text = output(case)
    own = OWN.findall(text)
    if own:
        passed, failed = int(own[-1][0]), int(own[-1][1])
    elif CMOCKA_PASSED.search(text):
        passed = sum(map(int, CMOCKA_PASSED.findall(text)))
        failed = sum(map(int, CMOCKA_FAILED.findall(text)))
    else:
        passed, failed = int(ok(case)), 0
    return passed, failed if ok(case) else max(failed, 1)


def worth_again(cases):
    """Names of the failed that may run once more: none if there are too many."""
    failed = [case for case in cases if count(case)[1]]
    if len(failed) > AGAIN:
        return []
    return [case.get("name") for case in failed if case.get("name").startswith(REAL) and not SANITIZER.search(output(case))]


def merged(first, second):
    """The cases that count, and the names of those that only varied."""
    passed = {case.get("name"): case for case in second if not count(case)[1]}
    again = set(worth_again(first)) & set(passed)
    return [passed[c.get("name")] if c.get("name") in again else c for c in first], sorted(again)


def read(path):
    return list(ElementTree.parse(path).getroot().iter("testcase"))


def summary(first, second, builds_failed):
    totals = [0, builds_failed]
    cases, varied = merged(first, second)
    for name in varied:
        print("varied  %s: failed beside another test, passed alone" % name)
    for case in cases:
        passed, failed = count(case)
        totals[0] += passed
        totals[1] += failed
        if failed:
            print("FAIL  %s (%d)" % (case.get("name"), failed))
    return totals


def main(args):
    if args[0] == "--again":
        try:
            names = worth_again(read(args[1]))
        except (OSError, ElementTree.ParseError):
            names = []
        print("^(%s)$" % "|".join(names) if names else "")
        return 0
    try:
        totals = summary(read(args[0]), read(args[2]) if len(args) > 2 else [], int(args[1]))
    except (OSError, ElementTree.ParseError) as e:
        print("FAIL  no report of the tests: %s" % e)
        totals = [0, int(args[1]) + 1]
    print("%d passed, %d failed" % tuple(totals))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
