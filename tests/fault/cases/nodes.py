# SPDX-License-Identifier: Apache-2.0
"""Nodes that die, freeze, lie, or do not answer, and registries that die under their nodes: nobody else is troubled, and
everything comes back."""

import os
import threading
import time

from lib import descriptors as dd
from lib.bindings import Ice, IceGrid
from lib.internal import FakeNode
from lib.process import wait_until

from . import check

State = IceGrid.ServerState
TIMEOUT = "IceGrid.Registry.NodeSessionTimeout".replace(".", "__")
SOON = 5  # seconds: what must not take a timeout


def start(d, *nodes, **more):
    d.start_registry(**dict({TIMEOUT: "10"}, **more))
    admin = d.admin(d.communicator())[1]
    for name in nodes:
        d.start_node(name)
        d.await_node(admin, name)
    return admin


def deploy(admin, name, node, *servers):
    admin.addApplication(dd.application(name, {node: dd.node(*servers)}))


def fails(operation, *kinds):
    """The exception, which must be of one of these kinds."""
    try:
        result = operation()
    except kinds as e:
        return e
    raise AssertionError("%r instead of %s" % (result, ", ".join(k.__name__ for k in kinds)))


def quick(operation, seconds=SOON):
    begin = time.monotonic()
    result = operation()
    check(time.monotonic() - begin < seconds, "it took %.1f s" % (time.monotonic() - begin))
    return result


# ---- nodes that die

def node_dies(d):
    """kill -9: what needs the node fails at once, what does not goes on; it is down after its timeout, and may come back."""
    admin = start(d, "node1", "node2")
    deploy(admin, "One", "node1", dd.process("A"))
    deploy(admin, "Two", "node2", dd.process("B"))
    locator = d.locator_proxy(d.communicator())
    check(locator.findAdapterById("A.A"), "A was not started")
    d.daemons["node1"].kill()
    check(not quick(lambda: admin.pingNode("node1")), "a dead node is pinged")
    check(quick(lambda: locator.findAdapterById("A.A")) is None, "endpoints of a dead node")
    quick(lambda: fails(lambda: admin.getServerState("A"), IceGrid.NodeUnreachableException))
    check(quick(lambda: locator.findAdapterById("B.A")), "B was not started")
    admin.getNodeInfo("node1")
    wait_until(lambda: isinstance(fails_or_none(lambda: admin.getNodeInfo("node1")), IceGrid.NodeUnreachableException),
               "end of node1's session")
    d.start_node("node1")
    d.await_node(admin, "node1")
    check(locator.findAdapterById("A.A"), "A was not started again")


def fails_or_none(operation):
    try:
        operation()
    except Ice.Exception as e:
        return e
    return None


def node_dies_while_it_works(d):
    """A node that dies while it activates, stops and loads: whoever waits is told, nothing stays half done."""
    admin = start(d, "node1")
    deploy(admin, "One", "node1", dd.process("Slow", options=["--delay=60"]), dd.process("Deaf", options=["--deaf"]))
    c = d.communicator()
    locator = d.locator_proxy(c)
    located = locator.begin_findAdapterById("Slow.A")
    check(locator.findAdapterById("Deaf.A"), "Deaf was not started")
    wait_until(lambda: admin.getServerState("Slow") == State.Activating, "activation")
    update = admin.begin_syncApplication(dd.application("One", {"node1": dd.node(dd.process("Deaf", options=["--deaf", "x"]))}))
    other = d.admin(d.communicator())[1]
    wait_until(lambda: isinstance(fails_or_none(lambda: other.getServerState("Deaf")), IceGrid.DeploymentException),
               "a load that stops Deaf")
    d.daemons["node1"].kill()
    check(quick(lambda: locator.end_findAdapterById(located)) is None, "endpoints of a dead node")
    quick(lambda: admin.end_syncApplication(update))
    check(admin.getAllServerIds() == ["Deaf"], "servers %s" % admin.getAllServerIds())
    d.start_node("node1")
    d.await_node(admin)
    wait_until(lambda: fails_or_none(lambda: admin.getServerState("Deaf")) is None, "Deaf loaded again")


# ---- nodes that freeze

def is_stopped(pid):
    """All threads of it."""
    states = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task)) as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return all(s == "T" for s in states)


def node_freezes(d):
    """SIGSTOP: calls that need the node end with its session at the latest, all else goes on meanwhile; on SIGCONT it is
    back with its servers."""
    admin = start(d, "node1", "node2")
    deploy(admin, "One", "node1", dd.process("A"))
    deploy(admin, "Two", "node2", dd.process("B"))
    c = d.communicator()
    locator = d.locator_proxy(c)
    check(locator.findAdapterById("A.A"), "A was not started")
    pid = admin.getServerPid("A")
    d.daemons["node1"].freeze()
    wait_until(lambda: is_stopped(d.daemons["node1"].pid), "SIGSTOP to arrive")
    begin = time.monotonic()
    waiting = [locator.begin_findAdapterById("A.A") for _ in range(20)]
    other = d.admin(d.communicator())[1]
    update = other.begin_syncApplication(dd.application("One", {"node1": dd.node(dd.process("A", description="x"))}))
    check(quick(lambda: locator.findAdapterById("B.A")), "B was not started")
    quick(lambda: deploy(admin, "Three", "node2", dd.process("C", "manual")))
    quick(lambda: admin.startServer("C"))
    check(not quick(lambda: admin.pingNode("node1"), 10), "a frozen node is pinged")
    for w in waiting:
        check(locator.end_findAdapterById(w) is None, "endpoints of a frozen node")
    other.end_syncApplication(update)
    check(time.monotonic() - begin < 30, "it took %.0f s" % (time.monotonic() - begin))
    check(admin.getServerInfo("A").revision == 2, "the update is lost")
    d.daemons["node1"].thaw()
    d.await_node(admin, "node1")
    wait_until(lambda: fails_or_none(lambda: admin.getServerState("A")) is None, "A known again")
    check(admin.getServerPid("A") == pid, "A was restarted")
    wait_until(lambda: locator.findAdapterById("A.A"), "A located again")


# ---- registries that die

def registry_dies(d):
    """kill -9 and restart: nodes are back at once, servers never notice."""
    admin = start(d, "node1", "node2")
    deploy(admin, "One", "node1", dd.process("A", "always"), dd.process("M", "manual"))
    deploy(admin, "Two", "node2", dd.process("B"))
    check(d.locator_proxy(d.communicator()).findAdapterById("B.A"), "B was not started")
    wait_until(lambda: admin.getServerState("A") == State.Active, "start of A")
    pids = {s: admin.getServerPid(s) for s in "AB"}
    for _ in range(3):
        d.daemons["Master"].kill()
        begin = time.monotonic()
        d.start_registry(**{TIMEOUT: "10"})
        admin = d.admin(d.communicator())[1]
        for server in "AB":
            check(admin.getServerState(server) == State.Active, "%s is not active" % server)
            check(admin.getServerPid(server) == pids[server], "%s was restarted" % server)
        check(time.monotonic() - begin < SOON, "it took %.1f s" % (time.monotonic() - begin))
    check(d.locator_proxy(d.communicator()).findAdapterById("B.A"), "B is not located")


def registry_stops(d):
    """SIGTERM while requests wait for nodes: an orderly end, soon; the next run finds everything."""
    admin = start(d, "node1")
    deploy(admin, "One", "node1", dd.process("Slow", options=["--delay=60"]), dd.process("A", "manual"))
    admin.startServer("A")
    pid = admin.getServerPid("A")
    c = d.communicator()
    waiting = [d.locator_proxy(c).begin_findAdapterById("Slow.A") for _ in range(5)]
    starting = admin.begin_startServer("Slow")
    process = admin.getServerAdmin("Slow").ice_facet("Process")
    wait_until(lambda: fails_or_none(process.ice_ping) is None, "the process to register")
    slow = admin.getServerPid("Slow")
    check(quick(lambda: d.daemons["Master"].stop(), 15) == 0, "the registry did not end well")
    del waiting, starting
    d.start_registry(**{TIMEOUT: "10"})
    admin = d.admin(d.communicator())[1]
    check(admin.getServerPid("A") == pid and admin.getServerPid("Slow") == slow, "servers were restarted")


# ---- names

def same_name(d):
    """The second node of a name is refused while the first lives; the first one's death lets it in, and a node that lost
    its session is not refused by its own ghost."""
    admin = start(d)
    first, second = FakeNode(d, "node"), FakeNode(d, "node")
    session = first.register()
    fails(second.register, IceGrid.NodeActiveException)
    renewed = first.register()
    fails(session.ice_ping, Ice.ObjectNotExistException)
    renewed.keepAlive(IceGrid.LoadInfo(0, 0, 0))
    check(admin.pingNode("node"), "the node is not active")
    first.communicator.destroy()
    d.communicators.remove(first.communicator)
    quick(second.register)
    fails(renewed.ice_ping, Ice.ConnectionRefusedException, Ice.CommunicatorDestroyedException,
          Ice.ObjectNotExistException)
    check(admin.pingNode("node"), "the second node is not active")
    second.session.destroy()
    fails(lambda: admin.pingNode("node"), IceGrid.NodeNotExistException)


def other_names(d):
    """A node registers, and speaks, for itself only."""
    admin = start(d)
    liar = FakeNode(d, "liar", identity="Demo/Node-honest")
    fails(liar.register, IceGrid.PermissionDeniedException)
    check(liar.registry.registerNode(None, liar.prx, IceGrid.LoadInfo()) is None, "registered without a name")
    check(liar.registry.registerNode(liar.info(), None, IceGrid.LoadInfo()) is None, "registered without a proxy")
    fails(FakeNode(d, "").register, IceGrid.PermissionDeniedException)
    honest, other = FakeNode(d, "honest"), FakeNode(d, "other")
    honest.register()
    other.register()
    honest.up(servers=[IceGrid.ServerDynamicInfo("S", State.Active, 1, True)])
    other.up(name="honest")
    other.observer.updateServer("honest", IceGrid.ServerDynamicInfo("S", State.Inactive, 0, False))
    other.observer.updateAdapter("honest", IceGrid.AdapterDynamicInfo("S.A", None))
    other.observer.nodeDown("honest")
    other.observer.nodeInit([])
    check(admin.pingNode("honest") and admin.pingNode("other"), "a node is gone")
    check(honest.session.getServers() == [], "servers of nobody")


# ---- answers

def deploy_in_background(d, name, node, *servers):
    admin = d.admin(d.communicator())[1]
    return admin, admin.begin_addApplication(dd.application(name, {node: dd.node(*servers)}))


def strange_answers(d):
    """loadServer that answers nothing, nonsense, or with exceptions nobody declared."""
    admin = start(d)
    node = FakeNode(d, "node")
    node.register()
    locator = d.locator_proxy(d.communicator())

    def raising(e):
        def load(server, replica):
            raise e
        return load

    answers = [lambda s, r: (None, {}, -5, 2**31 - 1), lambda s, r: (node.server(s), {"S.A": None}, 2**31 - 1, -1),
               lambda s, r: (node.server(s), {}, 1, 1), raising(RuntimeError("what?")),
               raising(Ice.ObjectNotExistException()), raising(IceGrid.ServerNotExistException("S"))]
    for answer in answers:
        node.on_load = answer
        quick(lambda: deploy(admin, "App", "node", dd.process("S")))
        check(quick(lambda: locator.findAdapterById("S.A")) is None, "endpoints from nowhere")
        fails_or_none(lambda: admin.getServerState("S"))
        admin.removeApplication("App")
    node.on_load = raising(IceGrid.DeploymentException("no"))
    e = fails(lambda: deploy(admin, "App", "node", dd.process("S")), IceGrid.DeploymentException)
    check(e.reason == "couldn't load `S' on node `node':\nno", e.reason)
    check(admin.getAllApplicationNames() == [], "it is half deployed")


def no_answer(d):
    """A node that is alive but never answers loadServer: others are not troubled; its end releases who waits."""
    admin = start(d)
    node = FakeNode(d, "node")
    session = node.register()
    node.on_load = node.never
    other, waiting = deploy_in_background(d, "App", "node", dd.process("S"))
    wait_until(lambda: ("loadServer", "S") in node.calls, "the call")
    check(admin.getAllApplicationNames() == ["App"], "it is not committed")
    again = other.begin_updateApplication(IceGrid.ApplicationUpdateDescriptor(name="App"))
    quick(lambda: deploy(admin, "Other", "nowhere", dd.process("T")))
    check(fails(lambda: admin.getServerState("S"), IceGrid.DeploymentException).reason == "server is being updated", "?")
    locator = d.locator_proxy(d.communicator())
    located = [locator.begin_findAdapterById("S.A") for _ in range(50)]
    check(not waiting.isCompleted() and not again.isCompleted(), "something did not wait")
    session.destroy()
    quick(lambda: other.end_addApplication(waiting))
    quick(lambda: other.end_updateApplication(again))
    for call in located:
        check(quick(lambda: locator.end_findAdapterById(call)) is None, "endpoints from nowhere")
    node.give_up()
    check(admin.getApplicationInfo("App").revision == 2, "an update is lost")


def silent_node(d):
    """A node that sends no sign of life is down after its timeout, and what it was asked fails with it."""
    admin = start(d)
    node = FakeNode(d, "node")
    session = node.register()
    node.on_load = node.never
    other, waiting = deploy_in_background(d, "App", "node", dd.process("S"))
    begin = time.monotonic()
    other.end_addApplication(waiting)
    check(8 < time.monotonic() - begin < 20, "it took %.1f s" % (time.monotonic() - begin))
    fails(session.ice_ping, Ice.ObjectNotExistException)
    fails(lambda: admin.getServerState("S"), IceGrid.NodeUnreachableException)


def clients_that_leave(d):
    """Many locate requests for an adapter that never comes, from clients that do not wait: nothing is left of them."""
    admin = start(d)
    node = FakeNode(d, "node")
    node.register()
    deploy(admin, "App", "node", dd.process("S"))
    node.on_load = node.never
    node.register()  # another session: everything is to be loaded again
    for _ in range(20):
        c = d.communicator()
        calls = [d.locator_proxy(c).begin_findAdapterById("S.A") for _ in range(100)]
        wait_until(lambda: all(call.isSent() for call in calls), "requests")
        d.drop(c)
    check(node.calls.count(("loadServer", "S")) == 2, "calls %s" % node.calls)
    check(quick(lambda: admin.getAllServerIds()) == ["S"], "the registry does not answer")


def many_nodes(d):
    """Fifty nodes come and go at once, under one master and its slave."""
    admin = start(d)
    d.start_registry("Slave", **{TIMEOUT: "10"})
    nodes = [FakeNode(d, "node%d" % n) for n in range(50)]
    threads = [threading.Thread(target=n.register) for n in nodes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(len(admin.getAllNodeNames()) == 50, "nodes %s" % admin.getAllNodeNames())
    for n in nodes:
        n.session.setReplicaObserver(IceGrid.ReplicaObserverPrx.uncheckedCast(n.prx))
        wait_until(lambda: n.replicas == ["InternalRegistry-Slave"], lambda: "the slave, not %s" % n.replicas)
    d.daemons["Slave"].stop()
    for n in nodes:
        wait_until(lambda: n.replicas == [], lambda: "no slave, not %s" % n.replicas)
        n.session.destroy()
    check(admin.getAllNodeNames() == [], "nodes %s" % admin.getAllNodeNames())


def certificates(d):
    """IceGrid.Registry.RequireNodeCertCN: the certificate names the node."""
    start(d, IceGrid__Registry__RequireNodeCertCN="1")
    fails(FakeNode(d, "node1").register, IceGrid.PermissionDeniedException)
    FakeNode(d, "alice").register()


certificates.transport = ("ssl",)
CASES = [node_dies, node_dies_while_it_works, node_freezes, registry_dies, registry_stops, same_name, other_names,
         strange_answers, no_answer, silent_node, clients_that_leave, many_nodes, certificates]
