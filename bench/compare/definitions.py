#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One application of many servers added, updated, synchronised, read and removed: ZeroC's registry and ours, medians of
processor seconds and wall seconds, and what the resident memory grows by. With "node" all servers are on one node, ZeroC's, that
is up, loads them and unloads them.
usage: MOULIN=build/release/moulin/moulin definitions.py [SERVERS [ROUNDS [node]]]"""

import getpass
import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "interop"))

from lib import definitions as df  # noqa: E402
from lib.bindings import IceGrid  # noqa: E402
from lib.deployment import Deployment  # noqa: E402

SERVERS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
UP = sys.argv[3:] == ["node"]
NODES = 1 if UP else 10
if os.path.isdir("/dev/shm"):  # ext4 looks long for inodes that were not freed a moment ago: whoever comes second would pay for it
    tempfile.tempdir = "/dev/shm"


def definition(mark=""):
    """Instances of one template on ten nodes, or one: an adapter in a group, an object, 16 properties each."""
    properties = [("A.Endpoints", "tcp -h 127.0.0.1")] + [("P%d" % k, "${v}/${i}/" + mark) for k in range(10)]
    server = df.server("s-${i}", activation="on-demand", options=["--x", "${i}"], user=getpass.getuser() if UP else "", propertySet=df.props(properties, ["shared"]), adapters=[
        df.adapter("A", "${server}.A", replicaGroupId="g", objects=[df.obj("o-${i}", type="::T")])])
    nodes = {"n%d" % k: df.node([], [df.instance("T", {"i": str(i)}) for i in range(k, SERVERS, NODES)]) for k in range(NODES)}
    return df.app(nodes, "Big", variables={"v": "x"}, serverTemplates={"T": df.template(server, ["i"])}, replicaGroups=[df.group("g")],
                  propertySets={"shared": df.props([("S%d" % k, "y") for k in range(5)])})


def processor(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def measure(flavour):
    """{what: (processor seconds, wall seconds)} and the KiB the first application took."""
    samples, grown = {}, 0
    with Deployment(flavour) as d:
        d.start_registry(Ice__MessageSizeMax="65536")
        _, admin = d.admin(d.communicator(Ice__MessageSizeMax="65536"))
        if UP:
            d.start_node("n0", Ice__MessageSizeMax="65536")
            d.await_node(admin, "n0")
        pid = d.daemons["Master"].pid
        before = resident(pid)

        def timed(what, operation, *arguments):
            used, started = processor(pid), time.monotonic()
            operation(*arguments)
            samples.setdefault(what, []).append((processor(pid) - used, time.monotonic() - started))

        for n in range(ROUNDS):
            timed("add", admin.addApplication, definition())
            grown = grown or resident(pid) - before
            timed("update, one server more", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(name="Big", nodes=[
                IceGrid.NodeUpdateDescriptor(name="n0", servers=[df.server("more")])]))
            timed("sync, every server changed", admin.syncApplication, definition(str(n)))
            timed("sync, nothing changed", admin.syncApplication, definition(str(n)))
            timed("remove", admin.removeApplication, "Big")
    return {what: tuple(map(statistics.median, zip(*pairs))) for what, pairs in samples.items()}, grown


def main():
    (theirs, their_memory), (ours, our_memory) = measure("zeroc"), measure("moulin")
    print("%-28s %18s %18s %14s" % ("%d servers" % SERVERS, "ZeroC cpu, wall s", "ours cpu, wall s", "ratio of wall"))
    for what, (cpu, wall) in theirs.items():
        print("%-28s %9.3f %8.3f %9.3f %8.3f %14.2f" % (what, cpu, wall, *ours[what], ours[what][1] / wall))
    print("%-28s %14d KiB %14d KiB %14.2f" % ("memory of the first add", their_memory, our_memory, our_memory / their_memory))


if __name__ == "__main__":
    main()
