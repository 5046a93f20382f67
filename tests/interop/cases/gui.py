# SPDX-License-Identifier: Apache-2.0
"""Unmodified IceGridGUI before both: logins to master, slave and router, what it shows of a fleet that others change meanwhile,
orders to servers, nodes and services, logs, definitions that are changed and saved, the end of the registry."""

import re

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.gui import Gui
from lib.process import wait_until

from .icegridadmin_nodes import PROGRAMS

State = IceGrid.ServerState
MAIN = "Demo (Master)"
REST = ("A [Inactive]",) * 3  # the adapters when nothing runs


def application(d):
    plain = dd.process("Plain", "manual", [dd.adapter("A", "Plain.A", objects=[dd.obj("plain", "::Test::Plain")])],
                       properties=[("Ice.StdOut", d.path("plain.out")), ("Colour", "red")])
    plain.logs = [d.path("plain.log")]
    service = IceGrid.ServiceInstanceDescriptor(descriptor=IceGrid.ServiceDescriptor(
        name="One", entry=PROGRAMS + "/probe_service:create", propertySet=IceGrid.PropertySetDescriptor()),
        propertySet=IceGrid.PropertySetDescriptor())
    box = IceGrid.IceBoxDescriptor(
        id="Box", exe="/usr/bin/icebox++11", activation="manual", services=[service], user=plain.user, applicationDistrib=True,
        propertySet=IceGrid.PropertySetDescriptor(
            properties=[IceGrid.PropertyDescriptor("Ice.Admin.Endpoints", "tcp -h 127.0.0.1")]))
    return dd.application("App", {"node1": dd.node(plain, box, dd.process("OnDemand")), "node2": dd.node(dd.process("Away"))},
                          [dd.group("Group", IceGrid.RandomLoadBalancingPolicy("1"), [dd.obj("grouped")])])


def grid(flavour):
    d = Deployment(flavour)
    for replica in ("Master", "Slave"):
        d.start_registry(replica, IceGrid__Registry__NodeSessionTimeout="10", Ice__StdErr=d.path(replica + ".stderr"))
    d.start_node("node1", ("Master", "Slave"))
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    d.extras["session"], admin = d.extras["login"] = d.admin(d.communicator())
    d.extras["admin"] = admin
    for a in (admin, d.admin(d.communicator(), "Slave")[1]):
        d.await_node(a)
    wait_until(lambda: "Slave" in admin.getAllRegistryNames(), "the slave")
    with open(d.path("plain.log"), "w") as f:
        f.write("one\ntwo\n")
    admin.addApplication(application(d))
    return d


def await_state(d, server, wanted):
    wait_until(lambda: d.extras["admin"].getServerState(server) == wanted, "%s of %s" % (wanted, server))


def tell(r, label, lines):
    """What a window says, line by line, but for the status of the moment and the thread pools, which ours has not."""
    for line in lines[lines.index("Working Online") + 1:] if "Working Online" in lines else lines:
        if ".ThreadPool." not in line:
            r.value(label, line)


def page(g, r, label, *path, until=(), without="nothing"):
    """What it shows of something, when it has asked for all of it, and what can be done."""
    g.choose(*path)
    tell(r, label, [line for line in g.await_text("Properties", *until) if not re.search(without, line)])
    r.value(label + ", menus", g.ask("menus"))


def settled(g):
    """The tree, when all observers were told of the beginning."""
    return g.await_tree("node1 [Up and running]", "Plain [Inactive]", "Box [Inactive]", "OnDemand [Inactive]", "node2 [Not running]",
                        "Slave")


def enter(d, g):
    g.direct(d.endpoint("Master.Client"))
    g.await_window(MAIN)
    return settled(g)


# ---- what is shown

def shown(d, r):
    with Gui(d) as g:
        r.value("tree", enter(d, g))
        page(g, r, "registry", until=("Registry Properties", "IceGrid.InstanceName", "Demo/Registry-Slave"))
        page(g, r, "slave", "Slave", until=("Slave Registry Properties", "IceGrid.InstanceName"))
        for path, until in ((("node1", "Plain"), "Server Properties"), (("node1", "Plain", "A"), "Adapter Properties"),
                            (("node1", "Box"), "Server Properties"), (("node1", "Box", "One"), "Service Properties"),
                            (("node2",), "Node Properties"), (("node2", "Away"), "Server Properties")):
            page(g, r, path[-1], *path, until=(until,))
        details(g, r)


def details(g, r):
    g.menu("Tools", "Application", "Show details")
    g.await_window("Show details")
    g.press("OK")
    g.await_window("Application Details")
    tell(r, "details", g.look())
    g.shut("Application Details")


# ---- what can be done

def orders(d, r):
    with Gui(d) as g:
        enter(d, g)

        def order(*path, until):
            g.menu("Tools", *path)
            r.value(" ".join(path), g.await_tree(*until))

        g.choose("node1", "Plain")
        order("Server", "Start", until=("Plain [Active, pid: <pid>]", "A [Published]"))
        g.await_text("Ice.Admin.ServerId")
        page(g, r, "Plain runs", "node1", "Plain", until=("Ice.Admin.ServerId",))
        page(g, r, "its adapter", "node1", "Plain", "A", until=("Adapter Properties",))
        g.choose("node1", "Plain")
        g.menu("Tools", "Server", "Write Message")
        g.await_window("Write Message")
        g.write(0, "hello there")
        g.press("OK")
        g.await_window(MAIN)
        wait_until(lambda: "hello there" in read(d.path("plain.out")), "the message")
        order("Server", "Disable", until=("Plain [Active, disabled, pid: <pid>]",))
        order("Server", "Stop", until=("Plain [Inactive, disabled]",) + REST)
        order("Server", "Enable", until=("Plain [Inactive]",))
        order("Server", "Start", until=("Plain [Active, pid: <pid>]", "A [Published]"))
        order("Server", "Send Signal", "SIGKILL", until=("Plain [Inactive]",) + REST)
        g.choose("node1", "Box")
        order("Server", "Start", until=("Box [Active, pid: <pid>]",))
        await_state(d, "Box", State.Active)
        g.choose("node1", "Box", "One")
        page(g, r, "One runs", "node1", "Box", "One", until=("Service Properties",))
        for what, wanted in (("Stop", "(Started) off"), ("Start", "(Started) off on")):
            g.menu("Tools", "Service", what)
            wait_until(lambda: wanted in g.look(), lambda: "%s: %s" % (wanted, g.look()))
        g.choose("node1")
        order("Node", "Start All Servers", until=("Plain [Active, pid: <pid>]", "OnDemand [Active, pid: <pid>]", "A [Published]", "A [Published]"))
        order("Node", "Stop All Servers", until=("Plain [Inactive]", "OnDemand [Inactive]", "Box [Inactive]") + REST)


def read(path):
    with open(path) as f:
        return f.read()


# ---- files and logs

def reads(d, r):
    with Gui(d) as g:
        enter(d, g)
        g.choose("node1", "Plain")
        g.menu("Tools", "Server", "Start")
        g.await_tree("Plain [Active, pid: <pid>]")
        g.menu("Tools", "Server", "Retrieve log file")
        r.value("log file", g.await_window("Server Plain"))
        r.value("it says", g.await_text("one", "two"))
        with open(d.path("plain.log"), "a") as f:
            f.write("three\n")
        r.value("and goes on", g.await_text("three"))
        g.shut("Server Plain")
        g.menu("Tools", "Server", "Retrieve stdout")
        r.value("stdout", g.await_window("Server Plain"))
        g.shut("Server Plain")
        g.menu("Tools", "Server", "Retrieve stderr")
        r.value("stderr, which is none", g.await_window("Server Plain"))
        tell(r, "it says", g.look())
        g.press("OK")
        g.menu("Tools", "Server", "Retrieve Ice log")
        r.value("Ice log", g.await_window("Server Plain"))
        tell(r, "it says", g.look())
        g.shut("Server Plain")
        g.choose()
        for what in ("Retrieve Ice log", "Retrieve stderr"):
            g.menu("Tools", "Registry", what)
            r.value(what, g.await_window("Registry "))
            g.shut("Registry ")
        g.choose("node1", "Plain")
        g.menu("Tools", "Server", "Stop")
        g.await_tree("Plain [Inactive]")


# ---- definitions

def await_unlocked(session):
    """The program gives the lock back some time after the registry shows what it saved."""
    def free():
        try:
            session.startUpdate()
        except IceGrid.AccessDeniedException:
            return False
        session.finishUpdate()
        return True
    wait_until(free, "the lock's release")


def defines(d, r):
    admin = d.extras["admin"]
    with Gui(d) as g:
        enter(d, g)
        g.menu("File", "Acquire Exclusive Write Access")
        wait_until(lambda: "  Release Exclusive Write Access" in g.ask("menus"), "the lock")
        r.call("another one", d.extras["session"].startUpdate)
        g.menu("File", "Release Exclusive Write Access")
        wait_until(lambda: "  Acquire Exclusive Write Access" in g.ask("menus"), "the lock's release")
        r.call("another one", d.extras["session"].startUpdate)
        g.menu("File", "Acquire Exclusive Write Access")
        g.await_window("Access Denied")
        tell(r, "refused", g.look())
        g.press("OK")
        d.extras["session"].finishUpdate()
        g.menu("File", "Open", "Application from Registry")
        g.await_window("Open Application")
        g.press("OK")
        g.await_window(MAIN)
        r.value("definition", g.await_tree("App", "Replica Groups", "Group"))
        g.choose()
        tell(r, "application", g.await_text("Application Properties"))
        for text, way in (("described by hand", "No server restart"), ("again", "Servers may restart")):
            g.write(1, text)
            g.press("Apply")
            g.menu("File", "Save to Registry (%s)" % way)
            wait_until(lambda: admin.getApplicationInfo("App").descriptor.description == text, "the update")
            g.await_text("Updating application 'App'...done.")
            await_unlocked(d.extras["session"])
        info = admin.getApplicationInfo("App")
        r.value("stored", (info.revision, info.updateUser, info.descriptor.description))
        r.call("updated by another", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(
            name="App", nodes=[IceGrid.NodeUpdateDescriptor(name="node1", servers=[dd.process("Added", "manual")])]))
        r.value("definition", g.await_tree("Added"))
        g.choose("Nodes", "node1", "Added")
        tell(r, "added", g.await_text("Server Properties"))
        g.menu("Edit", "Delete")
        r.value("without it", g.tree())
        g.menu("File", "Save to Registry (Servers may restart)")
        wait_until(lambda: "Added" not in admin.getAllServerIds(), "the update")
        await_unlocked(d.extras["session"])
        admin.addApplication(dd.application("Other", {}))
        admin.removeApplication("Other")
        r.call("another user's", d.extras["session"].startUpdate)
        d.extras["session"].finishUpdate()


def refused(d, r):
    """A definition that the registry refuses: the program tells why, and nothing changes."""
    admin = d.extras["admin"]
    with Gui(d) as g:
        enter(d, g)
        g.menu("File", "Open", "Application from Registry")
        g.await_window("Open Application")
        g.press("OK")
        g.await_window(MAIN)
        g.await_tree("App")
        g.choose("Nodes", "node1", "Plain", "A")
        g.await_text("Adapter Properties")
        admin.addApplication(dd.application("Other", {"node9": dd.node(dd.process("Rival", adapters=[("A", "Taken.A")]))}))
        revision = admin.getApplicationInfo("App").revision
        g.pick(0, "Taken.A")
        g.press("Apply")
        g.menu("File", "Save to Registry (Servers may restart)")
        g.await_window("Update failed")
        tell(r, "refused", g.look())
        g.press("OK")
        r.value("untouched", admin.getApplicationInfo("App").revision == revision)
        g.menu("File", "Discard Updates")
        g.choose("Nodes", "node1", "Plain", "A")
        tell(r, "discarded", g.await_text("Adapter Properties", "Plain.A"))
        admin.removeApplication("Other")


# ---- objects and adapters that no application has

def objects(d, r):
    admin = d.extras["admin"]
    with Gui(d) as g:
        enter(d, g)
        g.choose()
        g.await_text("Registry Properties", "IceGrid.InstanceName", "Demo/Registry-Slave")
        g.menu("Tools", "Registry", "Add Well-known Object")
        g.await_window("New Dynamic")
        g.write(0, "mine:tcp -h 127.0.0.1 -p 10000")
        g.pick(0, "::Test::Mine")
        g.press("OK")
        g.await_window(MAIN)
        g.await_text("| ::Test::Mine")
        r.value("added", [str(i.proxy) + i.type for i in admin.getAllObjectInfos("mine")])
        c = d.communicator()
        admin.addObjectWithType(c.stringToProxy("theirs:tcp -h 127.0.0.1 -p 10001"), "::Test::Theirs")
        registry = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
        for n in (1, 2):
            registry.setReplicatedAdapterDirectProxy("D%d" % n, "DynGroup", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % n))
        said = g.await_text("::Test::Mine", "::Test::Theirs", "| D1", "| D2")
        tell(r, "all", said[said.index("Dynamic Well-Known Objects"):])
        admin.updateObject(c.stringToProxy("theirs:tcp -h 127.0.0.1 -p 10002"))
        admin.removeObject(Ice.stringToIdentity("mine"))
        admin.removeAdapter("D1")
        g.await_text("10002")
        wait_until(lambda: not any("Test::Mine" in line or "| D1" in line for line in g.look()), "their end")
        said = g.look()
        tell(r, "what is left", said[said.index("Dynamic Well-Known Objects"):])
        admin.removeObject(Ice.stringToIdentity("theirs"))
        admin.removeAdapter("D2")


# ---- other ways in

def at_the_slave(d, r):
    with Gui(d) as g:
        g.direct(d.endpoint("Slave.Client"), slave=True)
        r.value("title", g.await_window("Demo"))
        r.value("tree", g.await_tree("node1 [Up and running]", "Plain [Inactive]", "node2 [Not running]"))
        # ZeroC's slaves tell observers of the shared objects as they were before the master's were added.
        page(g, r, "registry", until=("Registry Properties", "IceGrid.Registry.ReplicaName", "Demo/Registry-Slave"),
             without=r"Demo/(Query|Locator|LocatorRegistry) ")
        g.choose("node1", "Plain")
        g.menu("Tools", "Server", "Start")
        r.value("runs", g.await_tree("Plain [Active, pid: <pid>]", "A [Published]"))
        g.menu("Tools", "Server", "Stop")
        r.value("stopped", g.await_tree("Plain [Inactive]", *REST))


def through_the_router(d, r):
    with Gui(d) as g:
        g.routed(d.endpoint("router.Client"))
        r.value("title", g.await_window("Gate"))
        r.value("tree", settled(g))
        g.choose("node1", "Plain")
        g.menu("Tools", "Server", "Start")
        r.value("runs", g.await_tree("Plain [Active, pid: <pid>]", "A [Published]"))
        page(g, r, "Plain runs", "node1", "Plain", until=("Ice.Admin.ServerId",))
        g.menu("Tools", "Server", "Retrieve log file")
        r.value("log file", g.await_window("Server Plain"))
        r.value("it says", g.await_text("one", "two"))
        g.shut("Server Plain")
        g.menu("Tools", "Server", "Stop")
        g.await_tree("Plain [Inactive]", *REST)
        g.menu("File", "Logout")
        r.value("offline", g.await_window("IceGrid GUI"))


# ---- what goes

def leaves(d, r):
    admin = d.extras["admin"]
    with Gui(d) as g:
        enter(d, g)
        r.value("node", d.daemons["node1"].stop())
        r.value("tree", g.await_tree("node1 [Not running]", "Plain [Unknown]"))
        d.start_node("node1", ("Master", "Slave"))
        r.value("tree", settled(g))
        admin.shutdownRegistry("Slave")
        wait_until(lambda: "Slave" not in "".join(g.tree()), "the end of the slave")
        g.menu("Tools", "Application", "Remove from Registry")
        g.await_window("Remove")
        g.press("OK")
        wait_until(lambda: not admin.getAllApplicationNames(), "the end of the application")
        wait_until(lambda: "Plain" not in "".join(g.tree()), "the end of its servers")
        admin.shutdown()
        d.daemons["Master"].await_exit()
        # Which of its threads hears of it first is chance, and whether it can take leave of what is gone.
        wait_until(lambda: any(w.startswith(("Session lost", "Trouble with IceGrid registry")) for w in g.windows()),
                   lambda: "news of the end: %s" % g.windows())


def plan():
    yield "grid", grid, [shown, orders, reads, defines, refused, objects, at_the_slave, through_the_router, leaves]
