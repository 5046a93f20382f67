# SPDX-License-Identifier: Apache-2.0
"""Patches passed on to nodes: of applications and of single servers, with servers that run, with nodes that are away, refuse or
die in the middle; through the master, a slave and icegridadmin. (Both registries are of the same make.)"""

import os
import re
import threading

import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.patches import Store, serve
from lib.process import wait_until

from .icegridadmin import Tool

State = IceGrid.ServerState
FILES = {"bin/tool.txt": "tool 1\n", "lib/part.txt": "part 1\n", "top.txt": "top 1\n"}


def distrib(icepatch, *directories):
    return IceGrid.DistributionDescriptor(icepatch=icepatch, directories=list(directories))


def grid(flavour):
    d = Deployment(flavour)
    for replica in ("Master", "Slave"):
        d.start_registry(replica, IceGrid__Registry__NodeSessionTimeout="10")
    d.start_node("node1", ("Master", "Slave"))
    d.start_node("node2", ("Master", "Slave"))
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.extras["slave"] = d.admin(d.communicator(), "Slave")
    for a in (d.extras["admin"], d.extras["slave"][1]):
        d.await_node(a, "node1")
        d.await_node(a, "node2")
    store = d.extras["store"] = Store(d.path("store"))
    store.fill(FILES)
    where = serve(d, store)
    d.extras["admin"].addApplication(dd.application("App", {
        "node1": dd.node(dd.process("One"), dd.process("Other", applicationDistrib=False),
                         dd.process("Own", "manual", applicationDistrib=False, distrib=distrib(where, "lib"))),
        "node2": dd.node(dd.process("Two", "manual")),
        "node3": dd.node(dd.process("Bare", applicationDistrib=False))}, distrib=distrib(where)))
    return d


def text(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def have(d, r, label, directory):
    """What is under a directory of the nodes'."""
    found = {}
    for base, _, names in os.walk(d.path(directory)):
        for name in names:
            if name.endswith(".txt"):
                path = os.path.join(base, name)
                found[os.path.relpath(path, d.path(directory))] = text(path)
    r.value(label, found)


def ordered(reason):
    """Nodes name their servers in any order."""
    return re.sub("servers `(.*)' are", lambda m: "servers `%s' are" % ", ".join(sorted(m.group(1).split(", "))), reason)


def shown(r, label, operation, *arguments):
    try:
        r.value(label, operation(*arguments))
    except IceGrid.PatchException as e:
        r.value(label + " failed", [ordered(reason) for reason in e.reasons])


def everything(d, r, label):
    for node in ("node1", "node2"):
        have(d, r, "%s: application on %s" % (label, node), "node-%s/distrib" % node)
    have(d, r, label + ": own", "node-node1/servers/Own/distrib")


def whole(d, r):
    admin = d.extras["admin"]
    everything(d, r, "before")
    r.call("server", admin.patchServer, "One", False)
    everything(d, r, "one server")
    r.call("its own distribution", admin.patchServer, "Own", False)
    everything(d, r, "own")
    r.call("application", admin.patchApplication, "App", False)
    everything(d, r, "all")
    d.extras["store"].fill({"bin/tool.txt": "tool 2\n", "new.txt": "new\n"})
    r.call("through the slave", d.extras["slave"][1].patchApplication, "App", True)
    everything(d, r, "again")
    r.call("without distribution", admin.patchServer, "Other", False)
    r.call("on a node that is away", admin.patchServer, "Bare", False)


def running(d, r):
    admin = d.extras["admin"]
    for id in ("One", "Two", "Own"):
        admin.startServer(id)
    pids = {id: admin.getServerPid(id) for id in ("One", "Two", "Own")}
    d.extras["store"].fill({"top.txt": "top 3\n"})
    shown(r, "application", admin.patchApplication, "App", False)
    shown(r, "server", admin.patchServer, "Own", False)
    everything(d, r, "refused")
    r.value("untouched", {id: admin.getServerPid(id) for id in pids} == pids)
    r.call("shut down first", admin.patchApplication, "App", True)
    everything(d, r, "patched")
    for id in pids:
        wait_until(lambda: admin.getServerState(id) in (State.Inactive, State.Active), id)
        r.value("another process of " + id, admin.getServerPid(id) != pids[id])
        if admin.getServerState(id) == State.Active:
            admin.stopServer(id)


def tool(d, r):
    t = Tool(d, r)
    d.extras["admin"].startServer("Two")
    for command in ("application patch App", "application patch -f App", "server patch One", "server patch -f Two",
                    "application patch nobody", "server patch nobody", "server state Two", "server patch Bare"):
        t.run(command)


def no_server(d, r):
    """The file server is not there, or is something else."""
    admin = d.extras["admin"]
    admin.addApplication(dd.application("Lost", {"node1": dd.node(dd.process("Lost"))},
                                        distrib=distrib("Patch/server:tcp -h 127.0.0.1 -p 9997")))
    shown(r, "lost", admin.patchServer, "Lost", True)
    shown(r, "lost", admin.patchApplication, "Lost", True)
    admin.removeApplication("Lost")
    admin.addApplication(dd.application("Wrong", {"node1": dd.node(dd.process("Wrong"))},
                                        distrib=distrib("Demo/Query:" + d.endpoint("Master.Client"))))
    shown(r, "wrong", admin.patchApplication, "Wrong", True)
    admin.removeApplication("Wrong")


def in_background(operation, *arguments):
    outcome = {}

    def body():
        try:
            outcome["result"] = operation(*arguments)
        except IceGrid.PatchException as e:
            outcome["result"] = e.reasons
    outcome["thread"] = threading.Thread(target=body, daemon=True)
    outcome["thread"].start()
    return outcome


def nodes_away(d, r):
    """One node is down, then one dies while it is patching."""
    admin, store = d.extras["admin"], d.extras["store"]
    d.daemons["node2"].stop()
    wait_until(lambda: not admin.pingNode("node2"), "the end of node2")
    store.fill({"top.txt": "top 4\n"})
    shown(r, "application", admin.patchApplication, "App", True)
    shown(r, "server", admin.patchServer, "Two", True)
    everything(d, r, "the other one")
    Tool(d, r).run("application patch -f App")
    store.fill({"top.txt": "top 5\n"})
    store.gate.clear()
    store.asked.clear()
    outcome = in_background(admin.patchServer, "One", True)
    store.asked.wait(60)
    d.daemons["node1"].kill()
    outcome["thread"].join(100)
    r.value("in the middle", outcome.get("result", "not answered"))
    store.gate.set()


def plan():
    yield "patching", grid, [whole, running, tool, no_server, nodes_away]
