#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py SCRIPT...: run the cases of tests/fault/cases/SCRIPT.py against our daemons.

A case raises when something is wrong; every case has a deployment of its own. With --flavour zeroc the same case runs
against ZeroC's daemons, which is how a test that could not fail, or could not pass, is found; scripts in pending.txt run
only so, and the printed lines say it. The last line counts.
"""

import argparse
import fnmatch
import importlib
import os
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
sys.path.insert(0, HERE)

from lib.deployment import Deployment  # noqa: E402

CASE_LIMIT = 300
with open(os.path.join(HERE, "pending.txt")) as f:
    PENDING = set(f.read().split())


def run_case(case, flavour):
    """The text of what went wrong, or None."""
    outcome = []
    deployment = Deployment(flavour, *getattr(case, "transport", ()))

    def body():
        try:
            case(deployment)
        except BaseException:
            outcome.append(traceback.format_exc())

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(CASE_LIMIT)
    if thread.is_alive():
        outcome.append("the case did not end within %d s" % CASE_LIMIT)
    text = "%s\n%s" % (outcome[0], deployment.logs()) if outcome else None
    if thread.is_alive():
        print("FAIL  %s\n%s" % (case.__name__, text), flush=True)
        for daemon in deployment.daemons.values():
            daemon.kill()
        os._exit(1)
    deployment.close()
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scripts", nargs="+")
    parser.add_argument("--flavour", choices=("zeroc", "moulin"))
    parser.add_argument("--case", default="")
    options = parser.parse_args()
    passed = failed = 0
    for script in options.scripts:
        flavour = options.flavour or ("zeroc" if script in PENDING else "moulin")
        note = " (zeroc only)" if flavour == "zeroc" else ""
        for case in importlib.import_module("cases." + script).CASES:
            name = script + "/" + case.__name__
            if not fnmatch.fnmatch(name, "*%s*" % options.case):
                continue
            wrong = run_case(case, flavour)
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
            print("ok    %s%s" % (name, note) if wrong is None else "FAIL  %s\n%s" % (name, wrong), flush=True)
    print("%s: %d passed, %d failed" % (" ".join(options.scripts), passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
