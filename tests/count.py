#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count.py JUNIT FAILED: one line `N passed, N failed` over all single tests of a ctest run; FAILED is added to the failed.

A program that counts its own tests (cmocka's groups; the runners of tests/interop and tests/fault) counts as that many,
any other as one. A program that ctest calls failed counts as at least one failure.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

OWN = re.compile(r"^[\w ]+: (\d+) passed, (\d+) failed$", re.M)
CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)\.", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] .*?(\d+) test\(s\)", re.M)


def count(case):
    """(passed, failed) of one ctest entry."""
    output = "".join(case.itertext())
    ok = case.get("status") == "run" and case.find("failure") is None
    own = OWN.findall(output)
    if own:
        passed, failed = int(own[-1][0]), int(own[-1][1])
    elif CMOCKA_PASSED.search(output):
        passed = sum(map(int, CMOCKA_PASSED.findall(output)))
        failed = sum(map(int, CMOCKA_FAILED.findall(output)))
    else:
        passed, failed = int(ok), 0
    return passed, failed if ok else max(failed, 1)


def main():
    totals = [0, int(sys.argv[2])]
    try:
        for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
            passed, failed = count(case)
            totals[0] += passed
            totals[1] += failed
            if failed:
                print("FAIL  %s (%d)" % (case.get("name"), failed))
    except (OSError, ElementTree.ParseError) as e:
        print("FAIL  no report of the tests: %s" % e)
        totals[1] += 1
    print("%d passed, %d failed" % tuple(totals))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
