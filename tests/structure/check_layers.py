#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house stands: each directory includes only what is below it, every header compiles alone, every source file has
its licence line, and the public headers do not show a module's insides."""
import os
import re
import subprocess
import sys
import tempfile

# Directory -> the modules of include/moulin (and "slice", the generated code) it may include.
BASE = {"base"}
WIRE = BASE | {"wire"}
NET = WIRE | {"net"}
RPC = NET | {"rpc", "slice"}
AUTH = RPC | {"auth"}
MAY_INCLUDE = {
    "ice/base": BASE,
    "ice/wire": WIRE,
    "ice/net": NET,
    "ice/rpc": RPC,
    "auth": AUTH,
    "certs": AUTH | {"certs"},
    "deploy": RPC | {"deploy"},
    "store": NET | {"store"},
    "registry": AUTH | {"registry", "deploy", "store"},
    "storm": AUTH | {"storm", "store"},
    "gateway": AUTH | {"gateway"},
    "admin": AUTH | {"admin", "deploy"},
    "moulin": AUTH | {"registry", "gateway", "storm", "admin", "certs"},
    "include/moulin/base": BASE,
    "include/moulin/wire": WIRE,
    "include/moulin/net": NET,
    "include/moulin/rpc": RPC,
    "include/moulin/auth": AUTH,
    "include/moulin/deploy": RPC,
    "include/moulin/store": BASE | {"store"},
    "include/moulin/storm": RPC,
}
INCLUDE = re.compile(r'^\s*#\s*include\s+<(moulin|slice)/([^>]+)>')


def sources(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h", "*.def"],
                            capture_output=True, text=True, check=True).stdout.split("\n")
    return [f for f in listed if f]


def check_includes(root, files):
    faults = []
    for path in files:
        may = MAY_INCLUDE.get(os.path.dirname(path))
        if may is None:
            continue
        with open(os.path.join(root, path), encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                found = INCLUDE.match(line)
                if not found:
                    continue
                module = "slice" if found.group(1) == "slice" else found.group(2).split("/")[0]
                if module not in may:
                    faults.append(f"{path}:{number}: {os.path.dirname(path)} may not include <{found.group(1)}/{found.group(2)}>")
    return faults


def check_licence(root, files):
    faults = []
    for path in files:
        with open(os.path.join(root, path), encoding="utf-8") as text:
            if "SPDX-License-Identifier: Apache-2.0" not in text.readline():
                faults.append(f"{path}:1: no SPDX line")
    return faults


def check_headers(root, build, files):
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        probe = os.path.join(folder, "probe.c")
        for path in (f for f in files if f.startswith("include/") and f.endswith(".h")):
            with open(probe, "w", encoding="utf-8") as text:
                text.write(f'#include "{os.path.join(root, path)}"\n')
            run = subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  "-I", os.path.join(root, "include"), "-I", os.path.join(build, "gen", "slice"), probe],
                                 capture_output=True, text=True)
            if run.returncode != 0:
                faults.append(f"{path}: does not compile alone:\n{run.stderr}")
    return faults


def main():
    root, build = sys.argv[1], sys.argv[2]
    files = sources(root)
    if len(files) < 20:
        print(f"only {len(files)} files found below {root}: nothing was checked")
        return 1
    faults = check_includes(root, files) + check_licence(root, files) + check_headers(root, build, files)
    print("\n".join(faults) if faults else f"{len(files)} files in their places")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
