# SPDX-License-Identifier: Apache-2.0
"""What a registry's traces say, category by category at levels 1 and 2: the first lines of each entry, step by step. The
lines below them (reasons) and the order within one step are each flavour's own."""

import re

import Glacier2
import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

CATEGORIES = ("Admin", "Application", "Adapter", "Discovery", "Locator", "Node", "Object", "Patch", "Replica", "Server",
              "Session")
# ZeroC's counts on, ours goes on where the master's well-known objects came; what a slave hears of those is not compared.
SHARED = re.compile(r"object `Demo/")


def traced(flavour, level):
    d = Deployment(flavour)
    d.extras["traces"] = {"IceGrid__Registry__Trace__" + c: str(level) for c in CATEGORIES}
    d.start_registry(**d.extras["traces"])
    d.extras["seen"] = {}
    return d


class Log:
    """The entries of one daemon that have not been recorded yet."""

    def __init__(self, d, r, name="Master"):
        self.d = d
        self.r = r
        self.name = name

    def fresh(self):
        lines = self.d.daemons[self.name].stderr().splitlines()
        entries = [re.sub(r"^-- \S+ \S+ registry: ", "", line) for line in lines if line.startswith("-- ")]
        return [e for e in entries if not SHARED.search(e)]

    def step(self, label, until=None):
        key = (self.name, self.d.daemons[self.name].pid)
        old = self.d.extras["seen"].get(key, 0)
        if until:
            wait_until(lambda: any(until in e for e in self.fresh()[old:]), "`%s' in the log of %s" % (until, self.name))
        entries = self.fresh()
        self.d.extras["seen"][key] = len(entries)
        masked = [re.sub(r"failed with .*", "failed with ...", self.r.text(e)) for e in entries[old:]]
        self.r.value(label, sorted(masked))


def attempt(operation, *arguments):
    try:
        operation(*arguments)
    except Ice.Exception:
        pass


def registry_of(d, c):
    return Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))


def applications(d, r):
    log = Log(d, r)
    session, admin = d.admin(d.communicator())
    log.step("session", "created")
    server = dd.server("S", [dd.adapter("A", "S.A", group="G", objects=[dd.obj("o", "::T")],
                                        allocatables=[dd.obj("x", "::X")])])
    other = dd.server("T", [dd.adapter("B", "T.B")])
    app = dd.application("App", {"n": dd.node(server, other)}, [dd.group("G", objects=[dd.obj("g", "::T")])])
    admin.addApplication(app)
    log.step("added")
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="App", description=IceGrid.BoxedString("x")))
    log.step("updated")
    app.nodes["n"].servers.pop()
    admin.syncApplication(app)
    log.step("one server less")
    attempt(admin.addApplication, app)
    log.step("refused")
    admin.removeApplication("App")
    log.step("removed")
    session.destroy()
    log.step("session's end", "destroyed")


def objects_and_adapters(d, r):
    log, c = Log(d, r), d.communicator()
    session, admin = d.admin(c)
    log.step("session", "created")
    admin.addObjectWithType(c.stringToProxy("cat/o @ A"), "::T")
    admin.updateObject(c.stringToProxy("cat/o @ B"))
    admin.removeObject(dd.identity("cat/o"))
    attempt(admin.removeObject, dd.identity("cat/o"))
    log.step("objects")
    reg, one, two = registry_of(d, c), c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001"), c.stringToProxy(
        "dummy:tcp -h 127.0.0.1 -p 9002")
    reg.setAdapterDirectProxy("D", one)
    reg.setAdapterDirectProxy("D", two)
    reg.setAdapterDirectProxy("D", None)
    reg.setReplicatedAdapterDirectProxy("E", "G", one)
    reg.setReplicatedAdapterDirectProxy("F", "G", one)
    log.step("registered")
    admin.removeAdapter("G")
    admin.removeAdapter("E")
    admin.removeAdapter("F")
    log.step("removed")
    session.destroy()
    log.step("end", "destroyed")


def failures(d, r):
    log, c = Log(d, r), d.communicator()
    session, admin = d.admin(c)
    admin.addApplication(dd.pool("Pool", 1))
    log.step("begin", "added application")
    reg, locator = registry_of(d, c), d.locator_proxy(c)
    proxy = c.stringToProxy("dummy:tcp -h 127.0.0.1 -p 9001")
    attempt(reg.setAdapterDirectProxy, "Pool-0.A", proxy)
    log.step("a deployed adapter")
    attempt(reg.setServerProcessProxy, "Pool-0", Ice.ProcessPrx.uncheckedCast(proxy))
    attempt(reg.setServerProcessProxy, "nobody", Ice.ProcessPrx.uncheckedCast(proxy))
    log.step("processes")
    attempt(locator.findAdapterById, "Pool-0.A")
    attempt(locator.findAdapterById, "nowhere")
    attempt(locator.findObjectById, dd.identity("nobody"))
    log.step("locate")
    admin.removeApplication("Pool")
    session.destroy()
    log.step("end", "destroyed")


def allocation(d, r):
    log, c = Log(d, r), d.communicator()
    admin_session, admin = d.admin(c)
    pair = dd.server("Pair", [dd.adapter("P", "Pair.P", allocatables=[dd.obj("left", "::Side"), dd.obj("right", "::Side")])],
                     allocatable=True)
    admin.addApplication(dd.application("Pairs", {"node1": dd.node(pair)}))
    log.step("begin", "added application")
    registry = d.registry_proxy(c)
    session = registry.createSession("alice", "x")
    session.keepAlive()
    admin_session.keepAlive()
    log.step("session")
    session.allocateObjectById(dd.identity("left"))
    session.allocateObjectById(dd.identity("right"))
    attempt(session.allocateObjectById, dd.identity("left"))
    log.step("allocated")
    session.releaseObject(dd.identity("left"))
    log.step("released one")
    session.destroy()
    log.step("session's end", "destroyed")
    manager = Glacier2.SessionManagerPrx.uncheckedCast(
        c.stringToProxy("Demo/SessionManager:" + d.endpoint("Master.SessionManager")))
    IceGrid.SessionPrx.uncheckedCast(manager.create("bob", None)).destroy()
    log.step("by a manager")
    admin.removeApplication("Pairs")
    admin_session.destroy()
    log.step("end", "destroyed")


def routed(d, r):
    log = Log(d, r)
    session, admin = d.admin(d.communicator())
    log.step("begin", "created")
    prx = admin.getRegistryAdmin("Master")
    Ice.PropertiesAdminPrx.uncheckedCast(prx, "Properties").getProperty("x")
    log.step("a property")
    attempt(prx.ice_facet("Nope").ice_ping)
    log.step("no such facet")
    attempt(prx.ice_identity(Ice.Identity("nobody", "Demo-RegistryServerAdminRouter")).ice_facet("Process").ice_ping)
    log.step("no such server")
    session.destroy()
    log.step("end", "destroyed")


def replicas(d, r):
    log = Log(d, r)
    session, admin = d.admin(d.communicator())
    log.step("begin", "created")
    d.start_registry("Replica1", **d.extras["traces"])
    log.step("up", "Replica1' up")
    slave = Log(d, r, "Replica1")
    slave.step("established", "established session")
    admin.addApplication(dd.application("New", {}))
    admin.addObjectWithType(d.communicator().stringToProxy("o @ A"), "::T")
    slave.step("followed", "added object `o'")
    admin.removeApplication("New")
    admin.removeObject(dd.identity("o"))
    log.step("changes", "removed object `o'")
    d.daemons["Replica1"].stop()
    slave.step("its end", "destroyed master")
    log.step("down", "Replica1' down")
    session.destroy()
    log.step("end", "destroyed")


def quiet(d, r):
    """Level 0: nothing, whatever happens."""
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Pool", 1))
    admin.removeApplication("Pool")
    session.destroy()
    r.value("stderr", d.daemons["Master"].stderr())


def plan():
    cases = [applications, objects_and_adapters, failures, allocation, routed, replicas]
    for level in (1, 2):
        yield "level %d" % level, lambda f, n=level: traced(f, n), cases
    yield "level 0", lambda f: traced(f, 0), [quiet]
