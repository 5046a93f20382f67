#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""echo.py WIRE_VALUES SOURCE_DIR: sends our random values of every Slice type through ZeroC's runtime, which decodes
them into its own objects and encodes those again; wire_values compares. See values.c."""

import glob
import os
import subprocess
import sys
import tempfile

import Ice
# ZeroC's own definitions, where its packages have them: ours must be the same.
import Glacier2  # noqa: F401
import IceBox  # noqa: F401
import IceGrid  # noqa: F401

ROUNDS = 6


def load(values, source):
    """An interface with an operation for every type, in the module Echo."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "Echo.ice")
        roots = [os.path.join(source, "slice"), os.path.join(source, "tests", "data")]
        files = [os.path.relpath(f, roots[0]) for f in glob.glob(os.path.join(roots[0], "*", "*.ice"))]
        with open(path, "w") as f:
            for name in sorted(files) + ["Vec.ice", "Shapes.ice"]:
                f.write("#include <%s>\n" % name)
            f.write(subprocess.run([values, "slice"], stdout=subprocess.PIPE, check=True, text=True).stdout)
        Ice.loadSlice(" ".join("-I" + r for r in roots) + " --all " + path)


def servant():
    import Echo
    members = {}
    for name in dir(Echo.Peer):
        if name[0] in "cso" and name[1:].isdigit():
            members[name] = lambda self, v, current=None: v
    return type("Servant", (Echo.Peer,), members)()


def run(communicator, values):
    adapter = communicator.createObjectAdapterWithEndpoints("Echo", "tcp -h 127.0.0.1")
    proxy = adapter.add(servant(), Ice.stringToIdentity("echo"))
    adapter.activate()
    lines = subprocess.run([values, "values", str(ROUNDS)], stdout=subprocess.PIPE, check=True, text=True).stdout
    results, refused = [], 0
    for line in lines.splitlines():
        operation, number, minor, parameters = line.split(" ")
        try:
            ok, out = proxy.ice_invoke(operation, Ice.OperationMode.Normal, bytes.fromhex(parameters))
        except Ice.UnknownException as error:
            ok, out = False, str(error).encode()
        if ok:
            results.append("%s %s %s %s" % (operation, number, minor, bytes(out).hex()))
        else:
            refused += 1
            print("refused: %s\n   %s" % (line[:300], out.decode(errors="replace")[:600]))
    check = subprocess.run([values, "check"], input="\n".join(results) + "\n", text=True)
    print("%d values refused by the peer" % refused)
    return 0 if refused == 0 and check.returncode == 0 else 1


def main():
    values, source = sys.argv[1:]
    load(values, source)
    with Ice.initialize(["--Ice.Warn.Dispatch=0", "--Ice.Default.Host=127.0.0.1"]) as communicator:
        return run(communicator, values)


if __name__ == "__main__":
    sys.exit(main())
