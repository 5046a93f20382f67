#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py SCRIPT...: run the cases of tests/interop/cases/SCRIPT.py against ZeroC's daemons and ours, and compare.

Each flavour runs in a process of its own, with a time limit. A case passes when both flavours recorded the same. Two
living systems may differ by a race: a difference counts when a second run of the case's group shows one again;
otherwise it is printed as one that varies. What fails or hangs in our half always counts. While a script is listed in
PENDING below, only ZeroC's half runs, and the printed line says so. The last line counts.
Options: --only FLAVOUR (record and print, compare nothing), --ours FLAVOUR (what is compared with ZeroC's, also when pending),
--case PATTERN (part of the case's name), -v (print results).
"""

import argparse
import difflib
import fnmatch
import glob
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lib.deployment import FLAVOURS  # noqa: E402
from lib.process import Failure  # noqa: E402
from lib.record import Recorder  # noqa: E402

# Scripts whose "moulin" half is not run yet; the list shrinks to nothing.
with open(os.path.join(HERE, "pending.txt")) as f:
    PENDING = set(f.read().split())
CASE_LIMIT = 120
SCRIPT_LIMIT = 900


def run_case(function, arguments, recorder):
    """The case in a thread, so that one that hangs is reported and not waited for."""
    outcome = {}

    def body():
        try:
            function(*arguments)
        except BaseException:
            outcome["error"] = traceback.format_exc()

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(CASE_LIMIT)
    if thread.is_alive():
        outcome["error"] = "the case did not end within %d s" % CASE_LIMIT
        outcome["hung"] = True
    return {"lines": list(recorder.lines), "error": outcome.get("error"), "hung": outcome.get("hung", False)}


def record(flavour, script, pattern, path):
    """Child process: run every case of the script against one flavour; results go to `path` after each case."""
    module = importlib.import_module("cases." + script)
    results = {}

    def save():
        with open(path + ".new", "w") as f:
            json.dump(results, f)
        os.replace(path + ".new", path)

    for group, setup, cases in module.plan():
        wanted = [c for c in cases if fnmatch.fnmatch("%s/%s" % (group, c.__name__), "*%s*" % pattern)]
        if not wanted:
            continue
        deployment = None
        try:
            deployment = setup(flavour)
        except Exception:
            for c in wanted:
                results["%s/%s" % (group, c.__name__)] = {"lines": [], "error": traceback.format_exc(), "logs": ""}
            save()
            continue
        for c in wanted:
            recorder = Recorder(deployment)
            result = run_case(c, (deployment, recorder), recorder)
            result["logs"] = deployment.logs() if result["error"] else ""
            results["%s/%s" % (group, c.__name__)] = result
            save()
            if result["hung"]:
                deployment.close()
                os._exit(1)
        logs = deployment.logs()
        for c in wanted:
            results["%s/%s" % (group, c.__name__)]["logs"] = logs
        deployment.close()
        save()


def run_flavour(flavour, script, pattern):
    with tempfile.TemporaryDirectory(prefix="moulin-run-") as directory:
        path = os.path.join(directory, "results.json")
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--record", path, "--only", flavour,
                                  "--case", pattern, script])
        try:
            status = child.wait(SCRIPT_LIMIT)
            how = "the client ended with status %d" % status
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
            how = "the client was not ready after %d s" % SCRIPT_LIMIT
        results = {}
        if os.path.exists(path):
            with open(path) as f:
                results = json.load(f)
        if status:
            results["(%s)" % flavour] = {"lines": [], "error": how, "logs": ""}
        return results


def run_oracle(script, pattern):
    """ZeroC's half. 3.7.8 has races of its own (a waiter of an allocation is lost now and then): what went wrong there,
    and only there, is run again, twice at most, with its whole group."""
    results = run_flavour("zeroc", script, pattern)
    for _ in range(0 if pattern else 2):
        groups = sorted({name.rsplit("/", 1)[0] for name, result in results.items() if result["error"]})
        for group in groups:
            print("again %s/%s (ZeroC's half)" % (script, group), flush=True)
            results.update(run_flavour("zeroc", script, glob.escape(group) + "/*"))
    return results


def run_again(script, name, flavours):
    """The group of a case once more, for every flavour: the case's lines of each, None where it went wrong."""
    group = glob.escape(name.rsplit("/", 1)[0]) + "/*"
    again = [run_flavour(f, script, group).get(name, {"error": "not run"}) for f in flavours]
    return [None if result["error"] else result["lines"] for result in again]


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.varied = 0

    def ok(self, name, note=""):
        self.passed += 1
        print("ok    %s%s" % (name, note), flush=True)

    def vary(self, name, diff):
        self.passed += 1
        self.varied += 1
        print("ok    %s (varies: equal when run again, the first time)\n%s" % (name, diff), flush=True)

    def fail(self, name, why):
        self.failed += 1
        print("FAIL  %s\n%s" % (name, why), flush=True)


def judge(script, pattern, only, ours, verbose, tally):
    flavours = [only] if only else ["zeroc"] if script in PENDING and not ours else ["zeroc", ours or "moulin"]
    results = {f: run_oracle(script, pattern) if f == "zeroc" else run_flavour(f, script, pattern) for f in flavours}
    names = list(dict.fromkeys(n for f in flavours for n in results[f]))
    if not names and pattern == "":
        tally.fail(script, "no case ran")
    for name in names:
        full = script + "/" + name
        missing = [f for f in flavours if name not in results[f] and name[0] != "("]
        broken = [f for f in flavours if name in results[f] and results[f][name]["error"]]
        if missing:
            tally.fail(full, "not run against %s (an earlier case hung or the time was over)" % ", ".join(missing))
            continue
        if broken:
            tally.fail(full, "\n".join("[%s]\n%s\n%s\n%s" % (f, "\n".join(results[f][name]["lines"]),
                                                          results[f][name]["error"],
                                                          results[f][name]["logs"]) for f in broken))
            continue
        if verbose:
            print("\n".join("      " + line for line in results[flavours[0]][name]["lines"]))
        if len(flavours) == 1:
            tally.ok(full, " (%s only)" % flavours[0])
            continue
        theirs, ours = (results[f][name]["lines"] for f in flavours)
        if ours == theirs:
            tally.ok(full)
            continue
        diff = "\n".join(difflib.unified_diff(theirs, ours, *flavours, lineterm="", n=2))
        again = [None, None] if pattern else run_again(script, name, flavours)
        if again[0] is not None and again[0] == again[1]:
            tally.vary(full, diff)
        else:
            tally.fail(full, diff + "\n" + results[flavours[1]][name]["logs"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scripts", nargs="+")
    parser.add_argument("--only", choices=FLAVOURS)
    parser.add_argument("--ours", choices=FLAVOURS[1:])
    parser.add_argument("--case", default="")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    parser.add_argument("-v", action="store_true", dest="verbose")
    options = parser.parse_args()
    if options.record:
        record(options.only, options.scripts[0], options.case, options.record)
        return 0
    tally = Tally()
    for script in options.scripts:
        try:
            judge(script, options.case, options.only, options.ours, options.verbose, tally)
        except Failure as e:
            tally.fail(script, str(e))
    if tally.varied:
        print("%d of the passed varied" % tally.varied)
    print("%s: %d passed, %d failed" % (" ".join(options.scripts), tally.passed, tally.failed))
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
