# SPDX-License-Identifier: Apache-2.0
"""The five observers of an admin session, call by call with contexts and serials: by proxy and by identity, in part, on
master and slave, while replicas come and go; observers that fail, hang or vanish; callbacks over the session's
connection."""

import threading
import time

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until
from lib.watcher import NAMES, Watcher, brief

def registry_of(d, c, replica="Master"):
    return Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint(replica + ".Server")))


def dummy(c, n):
    return c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % n)


def master(flavour):
    d = Deployment(flavour)
    d.start_registry()
    session, admin = d.admin(d.communicator())
    admin.addApplication(dd.pool("Before", 1, type_id="::Test::Before"))
    admin.addObjectWithType(d.communicator().stringToProxy("before @ A"), "::Before")
    registry_of(d, d.communicator()).setAdapterDirectProxy("Before.D", dummy(d.communicator(), 9001))
    d.extras["admin"] = admin
    return d


def changes(d, r, w, label):
    """Every kind of change, and what each observer hears of it."""
    admin, c = d.extras["admin"], d.communicator()
    admin.addApplication(dd.application("Seen", {"n": dd.node(dd.server("Seen", [dd.adapter("A", "Seen.A")]))}))
    w.show(r, label, "application", 1)
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="Seen", description=IceGrid.BoxedString("seen")))
    w.show(r, label, "application", 1)
    app = admin.getApplicationInfo("Seen").descriptor
    app.variables = {"x": "y"}
    admin.syncApplication(app)
    w.show(r, label, "application", 1)
    admin.removeApplication("Seen")
    w.show(r, label, "application", 1)
    admin.addObjectWithType(c.stringToProxy("seen @ A"), "::Seen")
    admin.updateObject(c.stringToProxy("seen @ B"))
    admin.removeObject(dd.identity("seen"))
    w.show(r, label, "object", 3)
    reg = registry_of(d, c)
    reg.setReplicatedAdapterDirectProxy("D1", "G", dummy(c, 9001))
    reg.setReplicatedAdapterDirectProxy("D2", "G", dummy(c, 9002))
    reg.setReplicatedAdapterDirectProxy("D2", "G", dummy(c, 9003))
    reg.setAdapterDirectProxy("D3", None)  # unknown: no event
    admin.removeAdapter("G")
    w.show(r, label, "adapter", 5)
    admin.removeAdapter("D1")
    reg.setAdapterDirectProxy("D2", None)
    w.show(r, label, "adapter", 2)
    w.silent(r, label + ": nothing else")


def all_five(d, r):
    for label, by_proxy in (("by identity", False), ("by proxy", True)):
        w = Watcher(d, by_proxy=by_proxy)
        w.watch()
        for name in NAMES:
            w.show(r, label + " init", name, 1)
        changes(d, r, w, label)
        w.session.destroy()


def in_part(d, r):
    w = Watcher(d)
    admin = d.extras["admin"]
    for names in (("object",), ("application", "adapter"), ("registry", "node"), ("object",)):
        w.watch(*names)
        for name in names:
            w.show(r, "only " + "+".join(names), name, 1)
        admin.addObjectWithType(d.communicator().stringToProxy("part @ A"), "::Part")
        admin.removeObject(dd.identity("part"))
        if "object" in names:
            w.show(r, "only " + "+".join(names), "object", 2)
        w.silent(r, "nothing else")
    w.watch("object")
    w.show(r, "set again", "object", 1)
    w.session.setObserversByIdentity(*[Ice.Identity()] * 5)
    w.session.setObservers(None, None, None, None, None)
    admin.addObjectWithType(d.communicator().stringToProxy("part @ A"), "::Part")
    admin.removeObject(dd.identity("part"))
    w.silent(r, "after nobody")
    w.watch("object")
    w.show(r, "back", "object", 1)
    w.session.destroy()
    admin.addObjectWithType(d.communicator().stringToProxy("part @ A"), "::Part")
    admin.removeObject(dd.identity("part"))
    r.value("after the session's end", w.events.idle())


def encodings(d, r):
    """Whatever the proxies say, the calls are in encoding 1.1."""
    w = Watcher(d, by_proxy=True, encoding=Ice.Encoding_1_0)
    w.watch("object", "application")
    w.show(r, "1.0", "object", 1)
    w.show(r, "1.0", "application", 1)
    w.session.destroy()


def failing(d, r):
    """An observer that throws gets nothing more; the others of the session go on."""
    def fail(operation):
        if operation == "objectAdded":
            raise ValueError("no")
    w = Watcher(d, fail=fail)
    other = Watcher(d, user="other")
    w.watch("object", "adapter")
    other.watch("object")
    for watcher, name in ((w, "object"), (w, "adapter"), (other, "object")):
        watcher.events.take(name, 1)
    admin, c = d.extras["admin"], d.communicator()
    admin.addObjectWithType(c.stringToProxy("bad @ A"), "::Bad")
    r.value("heard", [e[0] for e in w.events.take("object", 1)])
    admin.removeObject(dd.identity("bad"))
    r.value("the other one", [e[0] for e in other.events.take("object", 2)])
    registry_of(d, c).setAdapterDirectProxy("Bad.D", dummy(c, 9001))
    r.value("its other observer", [e[0] for e in w.events.take("adapter", 1)])
    w.silent(r, "nothing after the failure")
    registry_of(d, c).setAdapterDirectProxy("Bad.D", None)
    w.events.take("adapter", 1)
    w.watch("object")
    r.value("set again", [e[0] for e in w.events.take("object", 1)])
    w.session.destroy()
    other.session.destroy()


def hanging(d, r):
    """An observer that does not answer holds up nobody else."""
    release = threading.Event()
    stuck = Watcher(d, fail=lambda operation: release.wait(60))
    other = Watcher(d, user="other")
    stuck.watch("object")
    other.watch("object")
    stuck.events.take("object", 1)
    other.events.take("object", 1)
    admin, c = d.extras["admin"], d.communicator()
    for n in range(30):
        admin.addObjectWithType(c.stringToProxy("hang%d @ A" % n), "::Hang")
    r.value("the other one", [e[1][0].proxy.ice_getIdentity().name for e in other.events.take("object", 30)])
    r.value("the stuck one", len(stuck.events.take("object", 0, 0)))
    r.call("its session", stuck.session.getReplicaName)
    release.set()
    r.value("then in order", [e[1][0].proxy.ice_getIdentity().name for e in stuck.events.take("object", 30)])
    for n in range(30):
        admin.removeObject(dd.identity("hang%d" % n))
    stuck.session.destroy()
    other.session.destroy()


def vanishing(d, r):
    """The administrator's connection breaks; an observer's server is not there; changes go on."""
    lost, admin, c = Watcher(d), d.extras["admin"], d.communicator()
    lost.watch()
    lost.events.take("object", 1)
    lost.leave()
    gone = Watcher(d, by_proxy=True)
    gone.adapter.destroy()
    gone.watch("object", "registry")
    admin.addObjectWithType(c.stringToProxy("van @ A"), "::Van")
    admin.removeObject(dd.identity("van"))
    r.call("alive", admin.getAllObjectInfos, "van")
    r.call("the session of the one without a server", gone.session.getReplicaName)
    gone.session.destroy()


def serials(d, r):
    """startUpdate, applicationInit and the events count together; a restart begins at 0."""
    w = Watcher(d)
    w.watch("application")
    (_, arguments, context, _, _), = w.events.take("application", 1)
    start = w.session.startUpdate()
    r.value("one serial", start == arguments[0] == int(context["serial"]))
    w.admin.addApplication(dd.application("Counted", {}))
    (_, arguments, context, _, _), = w.events.take("application", 1)
    r.value("one more", (arguments[0] - start, int(context["serial"]) - start))
    w.session.finishUpdate()
    db = int(context["dbSerial"])
    w.admin.removeApplication("Counted")
    (_, arguments, context, _, _), = w.events.take("application", 1)
    r.value("both count", (arguments[0] - start, int(context["dbSerial"]) - db))
    d.daemons["Master"].stop()
    d.start_registry()
    again = Watcher(d)
    again.watch()
    for name in NAMES:
        again.show(r, "after a restart", name, 1)
    d.extras["admin"] = d.admin(d.communicator())[1]
    again.session.destroy()


# ---- replicas

def pair(flavour):
    d = master(flavour)
    d.start_registry("Replica1")
    query = Ice.Identity("Query", "Demo")
    wait_until(lambda: "Replica1" in d.extras["admin"].getAllRegistryNames(), "the slave's session")
    wait_until(lambda: len(d.query(d.communicator(), "Replica1").findObjectById(query).ice_getEndpoints()) == 2,
               "the shared objects at the slave")
    return d


def own(value):
    """ZeroC's slaves tell observers of the shared objects as they were before the master's were added."""
    if isinstance(value, list) and value and isinstance(value[0], IceGrid.ObjectInfo):
        return [i for i in value if i.proxy.ice_getIdentity().name not in ("Query", "Locator", "LocatorRegistry")]
    return value


def on_the_slave(d, r):
    """A slave's observers hear the master's changes with the master's serials in the database, and know only itself."""
    w = Watcher(d, "Replica1")
    w.watch()
    for name in NAMES:
        for operation, arguments, context, mode, minor in w.events.take(name, 1):
            arguments = [own(a) for a in arguments]
            r.value("init " + operation, ([brief(a) for a in arguments if not isinstance(a, int)],
                                          sorted(context), context.get("dbSerial"), mode, minor))
    admin, c = d.extras["admin"], d.communicator()
    admin.addApplication(dd.application("Seen", {}))
    admin.removeApplication("Seen")
    admin.addObjectWithType(c.stringToProxy("seen @ A"), "::Seen")
    admin.removeObject(dd.identity("seen"))
    registry_of(d, c, "Replica1").setAdapterDirectProxy("D1", dummy(c, 9001))
    registry_of(d, c, "Replica1").setAdapterDirectProxy("D1", None)
    for name in ("application", "object", "adapter"):
        for operation, arguments, context, mode, minor in w.events.take(name, 2):
            r.value(operation, ([a for a in arguments if not isinstance(a, int)], sorted(context), context.get("dbSerial")))
    w.session.destroy()


def replica_leaves(d, r):
    """A graceful stop and a return: order and content of what the master's observers hear."""
    w = Watcher(d)
    w.watch("registry", "object")
    w.show(r, "init", "registry", 1)
    w.events.take("object", 1)
    d.daemons["Replica1"].stop()
    w.show(r, "stop", "registry", 1)
    for operation, arguments, context, _, _ in w.events.take("object", 7):
        r.value("stop: " + operation, (arguments, sorted(context)))
    d.start_registry("Replica1")
    w.show(r, "start", "registry", 1)
    heard = w.events.take("object", 7)
    for operation, arguments, context, _, _ in sorted(heard, key=lambda e: (e[0], r.show(e[1]))):
        r.value("start: " + operation, (arguments, sorted(context)))
    w.session.destroy()


def replica_dies(d, r):
    """kill -9 of the slave: listed until its session is over, then told like one that stopped."""
    w, admin = Watcher(d), d.extras["admin"]
    w.watch("registry", "object")
    w.events.take("registry", 1)
    w.events.take("object", 1)
    d.daemons["Replica1"].kill()
    start = time.monotonic()
    r.call("ping", admin.pingRegistry, "Replica1")
    r.call("its admin object", admin.getRegistryAdmin("Replica1").ice_facet("Process").ice_ping)
    w.show(r, "told", "registry", 1)
    r.value("within its session's time", time.monotonic() - start < 25)
    for operation, arguments, context, _, _ in w.events.take("object", 7):
        r.value("told: " + operation, (arguments, sorted(context)))
    r.call("ping afterwards", admin.pingRegistry, "Replica1")
    r.call("listed afterwards", admin.getAllRegistryNames)
    w.session.destroy()


# ---- callbacks over the session's connection

class Echo(Ice.Blobject):
    def ice_invoke(self, parameters, current):
        if current.operation == "refuse":
            return False, b"\x06\0\0\0\1\1"
        if current.operation == "break":
            raise ValueError("no")
        return True, parameters if current.operation == "echo" else b"\x06\0\0\0\1\1"


def callbacks(d, r):
    c = d.communicator()
    session, admin = d.admin(c)
    adapter = c.createObjectAdapter("")
    d.registry_proxy(c).ice_getConnection().setAdapter(adapter)
    adapter.activate()
    template = r.call("template", session.getAdminCallbackTemplate)
    r.value("the same again", session.getAdminCallbackTemplate() == template)
    category = template.ice_getIdentity().category
    r.value("its category begins with the instance", category.startswith("Demo-"))
    adapter.add(Echo(), Ice.Identity("mine", category))
    stranger = d.communicator()
    mine = stranger.stringToProxy(str(template)).ice_identity(Ice.Identity("mine", category))
    body = b"\x0b\0\0\0\1\1\4text"
    for operation, mode in (("echo", Ice.OperationMode.Normal), ("echo", Ice.OperationMode.Idempotent),
                            ("refuse", Ice.OperationMode.Normal)):
        r.call("%s %s" % (operation, mode), mine.ice_invoke, operation, mode, body)
    r.kind("break", mine.ice_invoke, "break", Ice.OperationMode.Normal, body)
    r.call("facet", mine.ice_facet("f").ice_invoke, "echo", Ice.OperationMode.Normal, body)
    r.kind("no such servant", mine.ice_identity(Ice.Identity("other", category)).ice_ping)
    r.kind("no such category", mine.ice_identity(Ice.Identity("mine", category + "x")).ice_ping)
    r.kind("wrong endpoints", stranger.stringToProxy("x:" + d.endpoint("Master.Client")).ice_identity(
        Ice.Identity("mine", category)).ice_ping)
    session.destroy()
    r.kind("after the session", mine.ice_invoke, "echo", Ice.OperationMode.Normal, body)
    session, admin = d.admin(c)
    template = session.getAdminCallbackTemplate()
    d.drop(c)
    lost = stranger.stringToProxy(str(template))

    def dead():
        try:
            lost.ice_ping()
        except Ice.ObjectNotExistException:
            return True
        except Ice.LocalException:
            return False
    r.value("after the connection", wait_until(dead, "the callback category of a lost session going"))


def plan():
    yield "master", master, [all_five, in_part, encodings, failing, hanging, vanishing, serials]
    yield "callbacks", master, [callbacks]
    yield "pair", pair, [on_the_slave, replica_leaves]
    yield "slave killed", pair, [replica_dies]
