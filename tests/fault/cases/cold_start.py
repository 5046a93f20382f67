# SPDX-License-Identifier: Apache-2.0
"""Everything is down, and comes back in the wrong order: nodes first. Row 25 of icegrid-internal 20."""

import glob

from lib import descriptors as dd
from lib.bindings import IceGrid
from lib.process import wait_until

from . import check
from .replicas import TIMEOUT, registries

State = IceGrid.ServerState
BOTH = ("Master", "Replica1")


def children(pid):
    """The processes that this one has started and that run."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.split("/")[2]))
    return found


def start_registry(d, name):
    d.start_registry(name, IceGrid__Registry__NodeSessionTimeout=str(TIMEOUT))


def start_node(d):
    d.start_node(registries=BOTH)


def await_node(d, replica):
    admin = d.admin(d.communicator(), replica)[1]
    d.await_node(admin)
    return admin


def await_active(admin):
    wait_until(lambda: admin.getServerState("Always") == State.Active, "the server that is always to run", 40)
    return admin.getServerPid("Always")


def put_down(d):
    """The servers end with their node; then the registries die at once."""
    d.daemons["node1"].stop()
    for name in BOTH:
        d.daemons[name].kill()


def deployed(d):
    for name in BOTH:
        start_registry(d, name)
    start_node(d)
    admin = await_node(d, "Master")
    admin.addApplication(dd.application("App", {"node1": dd.node(dd.process("Always", activation="always"))}))
    await_active(admin)
    put_down(d)
    start_node(d)
    check(children(d.daemons["node1"].pid) == [], "a node without registries runs servers")


def node_and_slave_first(d):
    """The slave alone runs what is asked for; the master joins, and finds everything as it is."""
    deployed(d)
    start_registry(d, "Replica1")
    admin = await_node(d, "Replica1")
    pid = await_active(admin)
    check(children(d.daemons["node1"].pid) == [pid], "servers: %s" % children(d.daemons["node1"].pid))
    start_registry(d, "Master")
    wait_until(lambda: registries(d) == ["Registry", "Registry-Replica1"], "the slave at the master", 40)
    admin = await_node(d, "Master")
    check(admin.getServerState("Always") == State.Active, "not active at the master")
    check(admin.getServerPid("Always") == pid, "the server was started anew")
    check(children(d.daemons["node1"].pid) == [pid], "servers: %s" % children(d.daemons["node1"].pid))


def node_and_master_first(d):
    """The master has everything run that is always to, without being asked; the slave joins."""
    deployed(d)
    start_registry(d, "Master")
    wait_until(lambda: len(children(d.daemons["node1"].pid)) == 1, "the server that is always to run", 60)
    pid = await_active(await_node(d, "Master"))
    start_registry(d, "Replica1")
    admin = await_node(d, "Replica1")
    check(admin.getServerState("Always") == State.Active, "not active at the slave")
    check(admin.getServerPid("Always") == pid, "the server was started anew")
    check(children(d.daemons["node1"].pid) == [pid], "servers: %s" % children(d.daemons["node1"].pid))


CASES = [node_and_slave_first, node_and_master_first]
