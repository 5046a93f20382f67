# SPDX-License-Identifier: Apache-2.0
"""A master with ZeroC's own node: what is deployed runs, by administrators' orders and on demand; what cannot be told."""

import os
import signal
import threading

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

State = IceGrid.ServerState


def grid(flavour, **more):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10", **more)
    d.start_node()
    c = d.communicator()
    d.extras["session"], d.extras["admin"] = d.admin(c)
    d.await_node(d.extras["admin"])
    return d


def with_servers(flavour):
    d = grid(flavour)
    servers = [
        dd.process("Manual", "manual"), dd.process("OnDemand"), dd.process("Two", adapters=[("A", "Two.A"), ("B", "Two.B")]),
        dd.process("Slow", options=["--delay=2"]), dd.process("Exits", options=["--exit=3"]),
        dd.process("NoExe", exe="/nonexistent"), dd.process("Bare", adapters=[]), dd.process("Session", "session"),
        dd.process("Disabled"),
    ]
    d.extras["admin"].addApplication(dd.application("App", {"node1": dd.node(*servers), "node2": dd.node(
        dd.process("Away"))}))
    d.extras["admin"].enableServer("Disabled", False)
    return d


def admin_of(d):
    return d.extras["admin"]


def state(d, server):
    return admin_of(d).getServerState(server)


def await_state(d, server, wanted):
    wait_until(lambda: state(d, server) == wanted, lambda: "%s of %s, which is %s" % (wanted, server, state(d, server)))


def stop(d, server):
    if state(d, server) != State.Inactive:
        admin_of(d).stopServer(server)
    await_state(d, server, State.Inactive)


def located(r, label, locator, adapter):
    """Whether there are endpoints; the ports are the servers' own."""
    try:
        prx = locator.findAdapterById(adapter)
    except Ice.Exception as e:
        r.value(label, e)
        return None
    r.value(label, str(prx).split(" -p ")[0] if prx else None)
    return prx


# ---- nodes

NODE_OPERATIONS = ("pingNode", "getNodeInfo", "getNodeHostname", "getNodeProcessorSocketCount", "getNodeAdmin")


def nodes(d, r):
    admin = admin_of(d)
    r.call("names", admin.getAllNodeNames)
    for name in ("node1", "node2", "nowhere", ""):
        for op in NODE_OPERATIONS:
            r.call("%s %r" % (op, name), getattr(admin, op), name)
        load = r.call("load of " + name, lambda: type(admin.getNodeLoad(name)).__name__)
    r.call("shut down nobody", admin.shutdownNode, "nowhere")
    r.call("shut down who is away", admin.shutdownNode, "node2")


# ---- servers by order

SERVER_OPERATIONS = ("getServerState", "getServerPid", "isServerEnabled", "startServer", "stopServer", "getServerAdmin")


def asked(d, r):
    admin = admin_of(d)
    r.call("ids", admin.getAllServerIds)
    for id in ("Manual", "OnDemand", "Disabled", "Session", "Bare"):
        for op in ("getServerState", "getServerPid", "isServerEnabled", "getServerInfo", "getServerAdmin"):
            r.call("%s %s" % (op, id), getattr(admin, op), id)
    r.call("info of a server that is away", admin.getServerInfo, "Away")
    for id in ("Away", "nobody", ""):
        for op in SERVER_OPERATIONS:
            r.call("%s %s" % (op, id), getattr(admin, op), id)
        r.call("enable " + id, admin.enableServer, id, True)
        r.call("signal " + id, admin.sendSignal, id, "SIGHUP")
    r.call("adapters", admin.getAllAdapterIds)
    for id in ("Manual.A", "OnDemand.A", "Away.A", "nowhere"):
        r.call("info of " + id, admin.getAdapterInfo, id)


def started(d, r):
    admin = admin_of(d)
    r.call("start", admin.startServer, "Manual")
    r.call("state", admin.getServerState, "Manual")
    r.value("pid", admin.getServerPid("Manual") > 1)
    r.call("again", admin.startServer, "Manual")
    r.value("adapter", [(i.id, i.proxy is not None, i.replicaGroupId) for i in admin.getAdapterInfo("Manual.A")])
    r.call("disable", admin.enableServer, "Manual", False)
    r.call("enabled", admin.isServerEnabled, "Manual")
    r.call("stop", admin.stopServer, "Manual")
    r.call("stop again", admin.stopServer, "Manual")
    r.call("state", admin.getServerState, "Manual")
    r.call("pid", admin.getServerPid, "Manual")
    r.call("start what is disabled", admin.startServer, "Manual")
    r.call("enable", admin.enableServer, "Manual", True)
    r.call("start without adapters", admin.startServer, "Bare")
    r.call("stop", admin.stopServer, "Bare")
    r.call("start what is not allocated", admin.startServer, "Session")
    r.call("start what exits", admin.startServer, "Exits")
    r.call("start what is not there", admin.startServer, "NoExe")
    await_state(d, "NoExe", State.Inactive)
    r.call("state", admin.getServerState, "NoExe")


def signals(d, r):
    admin = admin_of(d)
    for signal in ("SIGHUP", "FOO", "", "0", "1", "64"):
        r.call("inactive: " + signal, admin.sendSignal, "OnDemand", signal)
    admin.startServer("OnDemand")
    r.call("unknown", admin.sendSignal, "OnDemand", "SIGFOO")
    r.call("kill", admin.sendSignal, "OnDemand", "SIGKILL")
    await_state(d, "OnDemand", State.Inactive)
    r.call("pid", admin.getServerPid, "OnDemand")


# ---- on demand

def on_demand(d, r):
    locator = d.locator_proxy(d.communicator())
    for adapter in ("Manual.A", "Disabled.A", "Session.A", "Exits.A", "NoExe.A", "Away.A", "nowhere"):
        located(r, adapter, locator, adapter)
    prx = located(r, "on demand", locator, "OnDemand.A")
    r.call("it answers", prx.ice_identity(Ice.stringToIdentity("anything")).ice_ids)
    r.value("the same again", locator.findAdapterById("OnDemand.A") == prx)
    await_state(d, "OnDemand", State.Active)  # a moment after its adapter answers
    located(r, "both start together", locator, "Two.A")
    await_state(d, "Two", State.Active)
    r.value("the other", admin_of(d).getAdapterInfo("Two.B")[0].proxy is not None)
    r.call("manual, started", admin_of(d).startServer, "Manual")
    located(r, "manual", locator, "Manual.A")
    for id in ("OnDemand", "Two", "Manual"):
        stop(d, id)
    located(r, "manual, stopped", locator, "Manual.A")


def together(d, r):
    """Many who want the same adapter start its server once, and all get it."""
    results = []

    def locate():
        results.append(d.locator_proxy(c).findAdapterById("Slow.A"))

    c = d.communicator()
    threads = [threading.Thread(target=locate) for _ in range(5)]
    for t in threads:
        t.start()
    await_state(d, "Slow", State.Activating)
    pid = admin_of(d).getServerPid("Slow")
    for t in threads:
        t.join()
    r.value("different answers", len(set(map(str, results))))
    r.value("endpoints", all(results))
    r.value("one process", admin_of(d).getServerPid("Slow") == pid)
    stop(d, "Slow")


def activation_timeout(d, r):
    admin = admin_of(d)
    admin.addApplication(dd.application("Late", {"node1": dd.node(dd.process("Late", options=["--delay=5"],
                                                                              activationTimeout="1"))}))
    locator = d.locator_proxy(d.communicator())
    located(r, "too late", locator, "Late.A")
    r.call("state", admin.getServerState, "Late")
    located(r, "again, at once", locator, "Late.A")
    r.call("start", admin.startServer, "Late")
    await_state(d, "Late", State.Active)
    located(r, "after all", locator, "Late.A")
    r.call("remove", admin.removeApplication, "Late")
    r.kind("gone", admin.getServerState, "Late")


def ends(d, r):
    """A server that is killed is started by the next who needs it."""
    locator = d.locator_proxy(d.communicator())
    first = locator.findAdapterById("OnDemand.A")
    admin_of(d).sendSignal("OnDemand", "SIGKILL")
    await_state(d, "OnDemand", State.Inactive)
    r.value("adapter", admin_of(d).getAdapterInfo("OnDemand.A")[0].proxy)
    second = locator.findAdapterById("OnDemand.A")
    r.value("another one", second is not None and second != first)
    stop(d, "OnDemand")


def deaf(d, r):
    """A server that does not end when it is told to is killed when its time is over; the order waits for that."""
    admin = admin_of(d)
    admin.addApplication(dd.application("Deaf", {"node1": dd.node(dd.process("Deaf", "manual", deactivationTimeout="1"))}))
    admin.startServer("Deaf")
    os.kill(admin.getServerPid("Deaf"), signal.SIGSTOP)
    r.call("stop", admin.stopServer, "Deaf")
    r.call("state", admin.getServerState, "Deaf")
    r.call("remove", admin.removeApplication, "Deaf")


# ---- registering

def registering(d, r):
    c = d.communicator()
    registry = Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    prx = c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9999")
    process = Ice.ProcessPrx.uncheckedCast(c.stringToProxy("process:tcp -h 127.0.0.1 -p 9998"))
    r.call("nobody", registry.setAdapterDirectProxy, "", prx)
    r.call("inactive", registry.setAdapterDirectProxy, "Manual.A", prx)
    r.call("is stored", admin_of(d).getAdapterInfo, "Manual.A")
    r.call("withdrawn", registry.setAdapterDirectProxy, "Manual.A", None)
    r.call("wrong group", registry.setReplicatedAdapterDirectProxy, "Manual.A", "Group", prx)
    r.call("away", registry.setAdapterDirectProxy, "Away.A", prx)
    r.call("away, withdrawn", registry.setAdapterDirectProxy, "Away.A", None)
    admin_of(d).startServer("Manual")
    r.call("active already", registry.setAdapterDirectProxy, "Manual.A", prx)
    stop(d, "Manual")
    r.call("process of nobody", registry.setServerProcessProxy, "nobody", process)
    r.call("process of who is away", registry.setServerProcessProxy, "Away", process)
    r.call("process", registry.setServerProcessProxy, "Bare", process)


# ---- routed admin objects

def routed(d, r):
    admin, c = admin_of(d), None
    admin.startServer("OnDemand")
    server = admin.getServerAdmin("OnDemand")
    node = admin.getNodeAdmin("node1")
    for label, prx in (("server", server), ("node", node)):
        properties = Ice.PropertiesAdminPrx.uncheckedCast(prx.ice_facet("Properties"))
        r.call(label + " name", properties.getProperty, "Ice.Admin.ServerId" if label == "server" else "IceGrid.Node.Name")
        r.call(label + " facets", prx.ice_facet("Properties").ice_ids)
        r.call(label + " process", prx.ice_facet("Process").ice_ids)
        r.kind(label + " no facet", prx.ice_facet("nothing").ice_ping)
        r.kind(label + " default facet", prx.ice_ping)
        r.call(label + " metrics", prx.ice_facet("Metrics").ice_ids)
        r.call(label + " logger", prx.ice_facet("Logger").ice_ids)
    category = admin.getServerAdminCategory()
    for name in ("nobody", "Away", "Bare"):
        r.kind("of " + name, server.ice_identity(Ice.Identity(name, category)).ice_facet("Process").ice_ping)
    for name in ("node2", "nobody"):
        r.kind("of " + name, node.ice_identity(Ice.Identity(name, node.ice_getIdentity().category)).ice_facet(
            "Process").ice_ping)
    r.call("shut down", Ice.ProcessPrx.uncheckedCast(server.ice_facet("Process")).shutdown)
    await_state(d, "OnDemand", State.Inactive)


# ---- patching

def patching(d, r):
    admin = admin_of(d)
    r.call("nothing to patch", admin.patchServer, "Manual", True)
    r.call("nothing to patch", admin.patchApplication, "App", True)
    r.call("unknown", admin.patchApplication, "nothing", True)
    r.call("unknown", admin.patchServer, "nothing", True)
    admin.addApplication(dd.application(
        "Patched", {"node1": dd.node(dd.process("P1")), "node2": dd.node(dd.process("P2"))},
        distrib=IceGrid.DistributionDescriptor(icepatch="${application}/patch:tcp -h 127.0.0.1 -p 9997")))
    r.kind("nobody to fetch from", admin.patchServer, "P1", True)
    r.call("away", admin.patchServer, "P2", True)
    r.kind("both", admin.patchApplication, "Patched", True)
    admin.removeApplication("Patched")


# ---- the node goes

def goes(d, r):
    admin = admin_of(d)
    admin.startServer("OnDemand")
    r.value("order", d.daemons["node1"].stop())
    wait_until(lambda: not admin.pingNode("node1"), "end of node1")
    for op in NODE_OPERATIONS:
        r.call(op, getattr(admin, op), "node1")
    for op in SERVER_OPERATIONS:
        r.call(op, getattr(admin, op), "OnDemand")
    located(r, "locate", d.locator_proxy(d.communicator()), "OnDemand.A")
    r.call("application", admin.removeApplication, "App")
    r.call("names", admin.getAllNodeNames)
    d.start_node()
    d.await_node(admin)
    r.call("names", admin.getAllNodeNames)
    admin.addApplication(dd.application("App", {"node1": dd.node(dd.process("OnDemand"))}))
    located(r, "back", d.locator_proxy(d.communicator()), "OnDemand.A")
    r.call("shut down", admin.shutdownNode, "node1")
    r.value("status", d.daemons["node1"].await_exit())


def plan():
    return [("nodes", with_servers, [nodes, asked, started, signals, on_demand, together, activation_timeout, ends, deaf,
                                     registering, routed, patching, goes])]
