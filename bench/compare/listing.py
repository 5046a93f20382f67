#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many objects in the table of a registry: a full listing of them, and the start with them until the last one is found; ZeroC's and
ours in turn, medians of wall and processor seconds. The client does not decode what it gets.
usage: MOULIN=build/release/moulin/moulin listing.py [OBJECTS [ROUNDS]]   (make first)"""

import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "interop"))

from lib.bindings import Ice  # noqa: E402
from lib.deployment import Deployment  # noqa: E402
from definitions import processor, resident  # noqa: E402

OBJECTS = int(sys.argv[1]) if len(sys.argv) > 1 else 50000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
LARGE = {"Ice__MessageSizeMax": "262144"}
EVERYTHING = b"\x08\0\0\0\1\1\1*"
TURNS = 10  # in one sample: processor time is counted in hundredths of a second


def populate(d):
    subprocess.run([os.path.join(HERE, "build", "registry_load"), "populate", "--locator", d.locator(), "--objects", str(OBJECTS),
                    "--adapters", "0"], check=True, stdout=subprocess.DEVNULL)


def list_all(d):
    """(wall, processor) seconds of one listing, and how many octets it is."""
    _, admin = d.admin(d.communicator(**LARGE))
    pid = d.daemons["Master"].pid
    used, started = processor(pid), time.monotonic()
    for _ in range(TURNS):
        ok, reply = admin.ice_invoke("getAllObjectInfos", Ice.OperationMode.Idempotent, EVERYTHING)
        assert ok
    return (time.monotonic() - started) / TURNS, (processor(pid) - used) / TURNS, len(reply)


def start(d, last):
    started = time.monotonic()
    d.start_registry(**LARGE)
    d.locator_proxy(d.communicator()).findObjectById(last)
    return time.monotonic() - started, processor(d.daemons["Master"].pid)


def measure(flavour):
    samples = {"listing": [], "start": []}
    with Deployment(flavour) as d:
        d.start_registry(**LARGE)
        populate(d)
        admin = d.admin(d.communicator(**LARGE))[1]
        last = max((i.proxy.ice_getIdentity() for i in admin.getAllObjectInfos("*")), key=lambda i: (i.name, i.category))
        for _ in range(ROUNDS):
            *times, size = list_all(d)
            samples["listing"].append(times)
        for _ in range(ROUNDS):
            d.daemons["Master"].stop()
            samples["start"].append(start(d, last))
        memory = resident(d.daemons["Master"].pid)
    return {what: tuple(map(statistics.median, zip(*times))) for what, times in samples.items()}, size, memory


def main():
    (theirs, their_size, their_memory), (ours, our_size, our_memory) = measure("zeroc"), measure("moulin")
    print("%-22s %20s %20s %16s" % ("%d objects" % OBJECTS, "ZeroC wall, cpu s", "ours wall, cpu s", "ratio wall, cpu"))
    for what, (wall, cpu) in theirs.items():
        print("%-22s %11.3f %8.3f %11.3f %8.3f %9.2f %6.2f" % (what, wall, cpu, *ours[what], ours[what][0] / wall, ours[what][1] / cpu))
    print("%-22s %16d KiB %16d KiB %16.2f" % ("memory after the start", their_memory, our_memory, our_memory / their_memory))
    print("a listing has %d octets, %d of ours" % (their_size, our_size))


main()
