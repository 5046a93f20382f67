#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py's judgement: what passes, what fails, what only varies."""

import io
import os
import sys
from contextlib import redirect_stdout

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

NAME = "group/case"


def case(*lines, error=None):
    return {"lines": list(lines), "error": error, "logs": ""}


# (what, ZeroC's runs, ours, passed, failed, varied)
TABLE = [
    ("the same", [case("a")], [case("a")], 1, 0, 0),
    ("a difference that stays", [case("a"), case("a")], [case("b"), case("b")], 0, 1, 0),
    ("another difference the second time", [case("a"), case("b")], [case("b"), case("a")], 0, 1, 0),
    ("a difference that goes", [case("a"), case("a")], [case("b"), case("a")], 1, 0, 1),
    ("ours fails", [case("a")], [case("a", error="Failure")], 0, 1, 0),
    ("ours differs, then fails", [case("a"), case("a")], [case("b"), case("a", error="Failure")], 0, 1, 0),
    ("ZeroC's fails once", [case(error="Failure"), case("a")], [case("a")], 1, 0, 0),
]


def judged(theirs, ours):
    runs = {"zeroc": iter(theirs), "moulin": iter(ours)}
    run.run_flavour = lambda flavour, script, pattern: {NAME: next(runs[flavour])}
    tally = run.Tally()
    with redirect_stdout(io.StringIO()):
        run.judge("script", "", None, None, False, tally)
    return tally.passed, tally.failed, tally.varied


def main():
    failed = 0
    for what, theirs, ours, *want in TABLE:
        got = judged(theirs, ours)
        good = got == tuple(want)
        failed += not good
        print("%s %s%s" % ("ok   " if good else "FAIL ", what, "" if good else ": %s, not %s" % (got, tuple(want))))
    print("interop_run: %d passed, %d failed" % (len(TABLE) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
