# SPDX-License-Identifier: Apache-2.0
"""What administrators' observers hear of nodes, servers and adapters, by the master and by a slave: what there is at first,
nodes that come and go, servers that are started, fail, are disabled and removed, and in which order with the application's
own events. Both registries are of the same make, or the slave is ZeroC's."""

import os
import signal

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until
from lib.watcher import Events, Watcher, observer

State = IceGrid.ServerState
TIMEOUTS = {"IceGrid__Registry__NodeSessionTimeout": "10", "IceGrid__Registry__ReplicaSessionTimeout": "10"}


def grid(flavour, slave=None):
    d = Deployment(flavour)
    d.start_registry(**TIMEOUTS)
    d.start_registry("Slave", flavour=slave, **TIMEOUTS)
    d.start_node(registries=("Master", "Slave"))
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.extras["slave"] = d.admin(d.communicator(), "Slave")
    for admin in (d.extras["admin"], d.extras["slave"][1]):
        d.await_node(admin)
    d.extras["admin"].addApplication(dd.application("App", {"node1": dd.node(
        dd.process("Manual", "manual"), dd.process("OnDemand"), dd.process("Two", adapters=[("A", "Two.A"), ("B", "Two.B")]),
        dd.process("Bare", "manual", adapters=[]), dd.process("Exits", options=["--exit=3"]),
        dd.process("Late", options=["--delay=4"], activationTimeout="1"))}))
    return d


def plain(value):
    """Process ids are only there or not there; servers and adapters listed have no order."""
    if isinstance(value, IceGrid.ServerDynamicInfo):
        return (value.id, value.state, "running" if value.pid > 1 else value.pid, value.enabled)
    if isinstance(value, IceGrid.AdapterDynamicInfo):
        return (value.id, str(value.proxy).split(" -p ")[0] if value.proxy else None)
    if isinstance(value, IceGrid.NodeDynamicInfo):
        return (value.info, sorted(plain(s) for s in value.servers), sorted(plain(a) for a in value.adapters))
    if isinstance(value, list):
        return [plain(v) for v in sorted(value, key=lambda n: n.info.name)]
    return value


def show(r, w, label, count, name="node"):
    for operation, arguments, context, mode, minor in w.events.take(name, count):
        r.value("%s: %s" % (label, operation), ([plain(a) for a in arguments], context, mode, minor))


def watchers(d, *names):
    """One of the master by identity, one of the master by proxy, one of the slave."""
    made = [("master", Watcher(d)), ("by proxy", Watcher(d, by_proxy=True)), ("slave", Watcher(d, "Slave"))]
    for _, w in made:
        w.watch(*(names or ("node",)))
    return made


def leave(made):
    for _, w in made:
        w.session.destroy()
        w.leave()


def everywhere(r, made, label, count):
    for who, w in made:
        show(r, w, "%s, %s" % (label, who), count)


def await_state(d, server, wanted):
    admin = d.extras["admin"]
    wait_until(lambda: admin.getServerState(server) == wanted, lambda: "%s of %s, which is %s" % (
        wanted, server, admin.getServerState(server)))


# ---- servers

def at_first(d, r):
    """Servers that are inactive and enabled are not told, nor adapters without endpoints."""
    admin = d.extras["admin"]
    made = watchers(d)
    everywhere(r, made, "nothing runs", 1)
    leave(made)
    admin.startServer("Manual")
    admin.enableServer("OnDemand", False)
    admin.startServer("Bare")
    admin.enableServer("Bare", False)
    made = watchers(d)
    for who, w in made:
        (operation, arguments, context, mode, minor), = w.events.take("node", 1)
        r.value("some run, " + who, (operation, [plain(a) for a in arguments], context, mode, minor))
    leave(made)
    for id in ("OnDemand", "Bare"):
        admin.enableServer(id, True)
    for id in ("Manual", "Bare"):
        admin.stopServer(id)


def orders(d, r):
    admin = d.extras["admin"]
    made = watchers(d)
    for _, w in made:
        w.events.take("node", 1)
    admin.startServer("Two")
    everywhere(r, made, "start", 4)
    admin.stopServer("Two")
    everywhere(r, made, "stop", 4)
    admin.enableServer("Manual", False)
    everywhere(r, made, "disable", 1)
    admin.enableServer("Manual", False)
    admin.enableServer("Manual", True)
    everywhere(r, made, "enable", 1)
    admin.startServer("Bare")
    everywhere(r, made, "without adapters", 2)
    admin.enableServer("Bare", False)
    everywhere(r, made, "disable what runs", 1)
    admin.sendSignal("Bare", "SIGKILL")
    everywhere(r, made, "kill", 2)
    admin.enableServer("Bare", True)
    everywhere(r, made, "enable", 1)
    for _, w in made:
        w.silent(r, "nothing else")
    leave(made)


def failures(d, r):
    admin = d.extras["admin"]
    made = watchers(d)
    for _, w in made:
        w.events.take("node", 1)
    r.kind("exits", admin.startServer, "Exits")
    everywhere(r, made, "exits", 3)
    r.value("too late", d.locator_proxy(d.communicator()).findAdapterById("Late.A"))
    everywhere(r, made, "too late", 2)
    await_state(d, "Late", State.Active)
    everywhere(r, made, "after all", 2)
    admin.stopServer("Late")
    everywhere(r, made, "stop", 3)
    d.locator_proxy(d.communicator(), "Slave").findAdapterById("OnDemand.A")
    everywhere(r, made, "on demand through the slave", 3)
    admin.sendSignal("OnDemand", "SIGKILL")
    await_state(d, "OnDemand", State.Inactive)
    everywhere(r, made, "kill", 3)
    leave(made)


# ---- applications

class Sequence:
    """Observers of nodes and applications whose calls are served one by one, so that the order between them is seen."""

    def __init__(self, d, replica="Master"):
        self.d = d
        self.events = Events()
        self.communicator = d.communicator(Ice__ThreadPool__Client__Size="1", Ice__ThreadPool__Client__SizeMax="1")
        self.session, self.admin = d.admin(self.communicator, replica, "sequence")
        adapter = self.communicator.createObjectAdapter("")
        d.registry_proxy(self.communicator, replica).ice_getConnection().setAdapter(adapter)
        self.events.calls["all"] = []
        adapter.add(observer(IceGrid.NodeObserver, ("nodeInit", "nodeUp", "nodeDown", "updateServer", "updateAdapter"), "all",
                             self.events), Ice.Identity("n", "w"))
        adapter.add(observer(IceGrid.ApplicationObserver, ("applicationInit", "applicationAdded", "applicationRemoved",
                                                           "applicationUpdated"), "all", self.events), Ice.Identity("a", "w"))
        adapter.activate()
        none = Ice.Identity()
        self.session.setObserversByIdentity(none, Ice.Identity("n", "w"), Ice.Identity("a", "w"), none, none)
        self.events.take("all", 2)

    def show(self, r, label, count):
        for operation, arguments, context, _, _ in self.events.take("all", count):
            if operation.startswith("application"):
                arguments = [a for a in arguments if isinstance(a, str)]
            r.value("%s: %s" % (label, operation), ([plain(a) for a in arguments], sorted(context)))

    def show_both(self, r, label, count):
        """Where ZeroC's registry tells the two topics in either order."""
        heard = self.events.take("all", count)
        for mine in ([e for e in heard if e[0].startswith("application")], [e for e in heard if e[0].startswith("update")]):
            r.value(label, [(e[0], [plain(a) for a in e[1] if not isinstance(a, int)][-1:] if e[0].startswith("update") else "")
                            for e in mine])


def applications(d, r):
    """The application first, then what its servers do; removed servers are destroyed before the answer."""
    admin = d.extras["admin"]
    s = Sequence(d)
    admin.addApplication(dd.application("More", {"node1": dd.node(dd.process("Always", "always"), dd.process("Idle"))}))
    s.show(r, "add", 4)
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="More", nodes=[IceGrid.NodeUpdateDescriptor(
        name="node1", removeServers=["Idle"])]))
    s.show_both(r, "remove a server", 3)
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="More", nodes=[IceGrid.NodeUpdateDescriptor(
        name="node1", servers=[dd.process("Always", "manual")])]))
    s.show_both(r, "update", 4)
    admin.startServer("Always")
    s.show(r, "start", 3)
    admin.removeApplication("More")
    s.show_both(r, "remove", 6)
    r.value("nothing else", s.events.calls["all"])
    r.kind("refused by the node", admin.addApplication, dd.application("Refused", {"node1": dd.node(
        dd.process("Refused", user="nobody-of-that-name"))}))
    s.show(r, "refused", 2)
    d.drop(s.communicator)


# ---- nodes

def nodes(d, r):
    admin = d.extras["admin"]
    made = watchers(d, "node", "registry")
    for _, w in made:
        w.events.take("node", 1)
        w.events.take("registry", 1)
    d.start_node("node2", registries=("Master", "Slave"))
    everywhere(r, made, "a node comes", 1)
    admin.addApplication(dd.application("Second", {"node2": dd.node(dd.process("Second", "always"), dd.process("Off"))}))
    everywhere(r, made, "its server", 3)
    admin.enableServer("Off", False)
    everywhere(r, made, "disabled", 1)
    late = watchers(d)
    for who, w in late:
        (operation, arguments, context, _, _), = w.events.take("node", 1)
        r.value("both nodes, " + who, ([plain(a) for a in arguments], sorted(context)))
    leave(late)
    pid = admin.getServerPid("Second")
    d.daemons["node2"].kill()
    os.kill(pid, signal.SIGKILL)  # nobody else ends it
    everywhere(r, made, "a node dies", 1)
    d.start_node("node2", registries=("Master", "Slave"))
    everywhere(r, made, "it is back", 1)
    for who, w in made:
        (last,) = [e for e in w.events.take("node", 3) if e[0] == "updateAdapter"][-1:] or [None]
        r.value("its server again, " + who, last and plain(last[1][1])[0])
    for _, w in made:
        w.events.take("node", 100, 1)
    r.value("stop", d.daemons["node2"].stop())
    for who, w in made:
        heard = []
        wait_until(lambda: (heard.extend(w.events.take("node", 1, 1)) or heard) and heard[-1][0] == "nodeDown", "nodeDown")
        r.value("the end, " + who, [plain(e[1][-1]) for e in heard])
    leave(made)


def plan():
    cases = [at_first, orders, failures, applications, nodes]
    yield "nodes", grid, cases
    yield "slave of ZeroC's", lambda flavour: grid(flavour, "zeroc"), cases
