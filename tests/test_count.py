#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""count.py's judgement: what counts, what gets a second run, what that may forgive."""

import io
import os
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stdout

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import count  # noqa: E402


def case(name, text="", failed=False):
    made = ElementTree.Element("testcase", name=name, status="fail" if failed else "run")
    if failed:
        ElementTree.SubElement(made, "failure")
    ElementTree.SubElement(made, "system-out").text = text
    return made


GOOD = case("interop_a", "interop: 7 passed, 0 failed")
BAD = case("interop_a", "interop: 6 passed, 1 failed", failed=True)
ASAN = case("interop_a", "==1==ERROR: AddressSanitizer: heap-use-after-free", failed=True)
UBSAN = case("fault_a", "x.c:1:2: runtime error: shift", failed=True)
FAULTS = [case("fault_%d" % i, failed=True) for i in range(4)]

# (what, first report, second report, worth a second run, passed, failed)
TABLE = [
    ("all good", [GOOD, case("unit")], [], [], 8, 0),
    ("cmocka's groups", [case("unit", "[  PASSED  ] 3 test(s).\n[  PASSED  ] 2 test(s).")], [], [], 5, 0),
    ("failed without a count", [case("unit", failed=True)], [], [], 0, 1),
    ("failed although it counts none", [case("unit", "unit: 3 passed, 0 failed", failed=True)], [], [], 3, 1),
    ("failed twice", [BAD], [BAD], ["interop_a"], 6, 1),
    ("failed once", [BAD], [GOOD], ["interop_a"], 7, 0),
    ("not run again", [BAD], [], ["interop_a"], 6, 1),
    ("a unit test", [case("unit", failed=True)], [case("unit")], [], 0, 1),
    ("a sanitizer's finding", [ASAN], [GOOD], [], 0, 1),
    ("another sanitizer's", [UBSAN], [case("fault_a")], [], 0, 1),
    ("too many", FAULTS, [case("fault_%d" % i) for i in range(4)], [], 0, 4),
]


def main():
    failed = 0
    for what, first, second, again, *totals in TABLE:
        with redirect_stdout(io.StringIO()):
            got = [count.worth_again(first)] + count.summary(first, second, 0)
        good = got == [again] + totals
        failed += not good
        print("%s %s%s" % ("ok   " if good else "FAIL ", what, "" if good else ": %s" % got))
    print("count: %d passed, %d failed" % (len(TABLE) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
