# SPDX-License-Identifier: Apache-2.0
"""Updates of applications whose servers run: who is stopped, who keeps its process, what nodes and the registry refuse, and
that nothing is ever half deployed."""

import threading

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

State = IceGrid.ServerState


def grid(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    d.start_node()
    d.start_node("node2")
    c = d.communicator()
    d.extras["session"], d.extras["admin"] = d.admin(c)
    for node in ("node1", "node2"):
        d.await_node(d.extras["admin"], node)
    return d


def admin_of(d):
    return d.extras["admin"]


def application(*servers, node="node1", description="", **more):
    return dd.application("App", {node: dd.node(*servers, **more)}, description=description)


def pid(d, server="S"):
    return admin_of(d).getServerPid(server)


def await_inactive(d, server="S"):
    wait_until(lambda: admin_of(d).getServerState(server) == State.Inactive, "end of " + server)


def property_of(d, name, server="S"):
    prx = admin_of(d).getServerAdmin(server).ice_facet("Properties")
    return Ice.PropertiesAdminPrx.uncheckedCast(prx).getProperty(name)


def fresh(d, *servers):
    """The application with these servers, running."""
    admin = admin_of(d)
    if "App" in admin.getAllApplicationNames():
        admin.removeApplication("App")
    admin.addApplication(application(*(servers or (dd.process("S", "manual"),))))
    for s in servers or (dd.process("S"),):
        admin.startServer(s.id)


def outcome(d, r, label, before, server="S"):
    """After an update: does the process run on?"""
    info = admin_of(d).getServerInfo(server)
    r.value(label, "revision %d, %s" % (info.revision, "same process" if before and pid(d, server) == before else
                                        "not running" if pid(d, server) == 0 else "another process"))


# ---- plain updates

def plain(d, r):
    admin = admin_of(d)
    fresh(d)
    before = pid(d)
    r.call("nothing changes", admin.syncApplication, application(dd.process("S", "manual")))
    outcome(d, r, "nothing", before)
    r.call("application's description", admin.syncApplication, application(dd.process("S", "manual"), description="x"))
    outcome(d, r, "description", before)
    r.call("server's description", admin.syncApplication, application(dd.process("S", "manual", description="y")))
    outcome(d, r, "server's description", before)
    r.call("object", admin.syncApplication, application(dd.process(
        "S", "manual", adapters=[dd.adapter("A", "S.A", objects=[dd.obj("o", "::O")])])))
    outcome(d, r, "object", before)
    r.call("property", admin.syncApplication, application(dd.process("S", "manual", properties=[("P", "1")])))
    outcome(d, r, "property", before)
    admin.startServer("S")
    r.call("value", property_of, d, "P")
    before = pid(d)
    r.call("option", admin.syncApplication, application(dd.process("S", "manual", properties=[("P", "1")],
                                                                   options=["--unused"])))
    outcome(d, r, "option", before)
    admin.startServer("S")
    r.call("another server", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(name="App", nodes=[
        IceGrid.NodeUpdateDescriptor(name="node1", servers=[dd.process("T", "manual")])]))
    r.value("runs", pid(d) > 0)
    r.call("other", admin.getServerState, "T")
    r.call("move", admin.syncApplication, application(dd.process("S", "manual"), node="node2"))
    r.value("moved", (admin.getServerInfo("S").node, pid(d)))
    r.kind("gone", admin.getServerState, "T")
    admin.startServer("S")
    r.call("remove", admin.removeApplication, "App")
    r.kind("removed", admin.getServerState, "S")


def always(d, r):
    """What is always up is started after it is loaded, changed, and killed."""
    admin = admin_of(d)

    def await_up(other_than=0):
        return wait_until(lambda: admin.getServerState("S") == State.Active and pid(d) not in (0, other_than) and pid(d),
                          "start of S")

    fresh_app = application(dd.process("S", "always"))
    r.call("add", admin.addApplication, fresh_app)
    first = await_up()
    admin.sendSignal("S", "SIGKILL")
    second = await_up(first)
    r.call("update", admin.syncApplication, application(dd.process("S", "always", properties=[("P", "1")])))
    await_up(second)
    r.call("value", property_of, d, "P")
    r.call("remove", admin.removeApplication, "App")


# ---- without restart

def without_restart(d, r):
    admin = admin_of(d)
    fresh(d)
    before = pid(d)
    sync = admin.syncApplicationWithoutRestart
    r.call("nothing", sync, application(dd.process("S", "manual")))
    outcome(d, r, "nothing", before)
    r.call("property", sync, application(dd.process("S", "manual", properties=[("P", "1")])))
    outcome(d, r, "property", before)
    r.call("value", property_of, d, "P")
    r.call("description", sync, application(dd.process("S", "manual", description="x", properties=[("P", "1")])))
    outcome(d, r, "description", before)
    r.call("option", sync, application(dd.process("S", "manual", properties=[("P", "1")], options=["--unused"])))
    outcome(d, r, "option", before)
    r.call("two servers", sync, application(dd.process("S", "manual", properties=[("P", "1")]), dd.process("T", "manual")))
    outcome(d, r, "two", before)
    r.call("both change", sync, application(dd.process("S", "manual", options=["--unused"]),
                                            dd.process("T", "manual", options=["--unused"])))
    outcome(d, r, "both", before)
    r.call("the stopped one goes", sync, application(dd.process("S", "manual", properties=[("P", "1")])))
    outcome(d, r, "gone", before)
    r.call("the running one goes", sync, application())
    outcome(d, r, "stays", before)
    r.call("the running one moves", sync, application(dd.process("S", "manual", properties=[("P", "1")]), node="node2"))
    outcome(d, r, "stays", before)
    r.call("instance of nothing", admin.instantiateServer, "App", "node1", IceGrid.ServerInstanceDescriptor("T"))
    admin.stopServer("S")
    r.call("stopped: option", sync, application(dd.process("S", "manual", properties=[("P", "1")], options=["--unused"])))
    r.call("stopped: property", sync, application(dd.process("S", "manual", properties=[("P", "2")])))
    r.call("stopped: moves", sync, application(dd.process("S", "manual", properties=[("P", "2")]), node="node2"))
    outcome(d, r, "moved", 0)
    admin.startServer("S")
    r.call("value", property_of, d, "P")
    r.call("remove", admin.removeApplication, "App")


def node_is_down(d, r):
    admin = admin_of(d)
    admin.addApplication(dd.application("App", {"node1": dd.node(dd.process("S", "manual")),
                                                "node3": dd.node(dd.process("Away", "manual"))}))
    sync = admin.syncApplicationWithoutRestart

    def changed(**more):
        return dd.application("App", {"node1": dd.node(dd.process("S", "manual")),
                                      "node3": dd.node(dd.process("Away", "manual", **more))})

    r.call("property", sync, changed(properties=[("P", "1")]))
    r.call("option", sync, changed(options=["--unused"]))
    r.call("goes", sync, application(dd.process("S", "manual")))
    r.call("other one", sync, dd.application("App", {"node1": dd.node(dd.process("S", "manual", properties=[("P", "1")])),
                                                     "node3": dd.node(dd.process("Away", "manual"))}))
    r.call("plain", admin.syncApplication, changed(properties=[("P", "1")]))
    r.call("remove", admin.removeApplication, "App")


# ---- what a node refuses

def refused(d, r):
    admin = admin_of(d)
    bad = dd.process("Bad", "manual", user="nobody-has-this-name")
    r.call("add", admin.addApplication, application(dd.process("S", "manual"), bad))
    r.call("names", admin.getAllApplicationNames)
    r.call("servers", admin.getAllServerIds)
    r.kind("server", admin.getServerState, "S")
    fresh(d)
    before = pid(d)
    r.call("update", admin.syncApplication, application(dd.process("S", "manual"), bad))
    outcome(d, r, "update", before)
    r.call("servers", admin.getAllServerIds)
    r.call("changed", admin.syncApplication, application(dd.process("S", "manual", user="nobody-has-this-name")))
    outcome(d, r, "changed", before)
    r.call("description", lambda: admin.getApplicationInfo("App").descriptor.nodes["node1"].servers[0].user)
    r.call("without restart", admin.syncApplicationWithoutRestart, application(dd.process("S", "manual"), bad))
    outcome(d, r, "without restart", before)
    r.call("good again", admin.syncApplication, application(dd.process("S", "manual"), dd.process("T", "manual")))
    outcome(d, r, "good", before)
    r.call("remove", admin.removeApplication, "App")
    r.call("names", admin.getAllApplicationNames)


def in_line(d, r):
    """Updates of one application at the same time: each is whole, none is lost."""
    admin = admin_of(d)
    fresh(d)
    c = d.communicator()
    admins = [d.admin(d.communicator())[1] for _ in range(4)]
    threads = [threading.Thread(target=a.updateApplication, args=(IceGrid.ApplicationUpdateDescriptor(
        name="App", nodes=[IceGrid.NodeUpdateDescriptor(name="node1", servers=[dd.process("T%d" % i, "manual")])]),))
        for i, a in enumerate(admins)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    r.call("servers", admin.getAllServerIds)
    r.value("revision", admin.getApplicationInfo("App").revision)
    r.value("runs", pid(d) > 0)
    for i in range(4):
        r.call("state %d" % i, admin.getServerState, "T%d" % i)
    r.call("remove", admin.removeApplication, "App")


def plan():
    return [("updates", grid, [plain, always, without_restart, node_is_down, refused, in_line])]
