# SPDX-License-Identifier: Apache-2.0
"""Replica groups whose members' nodes freeze, whose servers do not start, and whose callers do not wait."""

import time

import IceMX

from lib import descriptors as dd
from lib.bindings import Ice, IceGrid
from lib.process import Daemon, wait_until

from . import check

State = IceGrid.ServerState
NODES = ("node1", "node2", "node3")
Random, Ordered = IceGrid.RandomLoadBalancingPolicy, IceGrid.OrderedLoadBalancingPolicy
RoundRobin, Adaptive = IceGrid.RoundRobinLoadBalancingPolicy, IceGrid.AdaptiveLoadBalancingPolicy
GROUPS = {"All": Ordered("0"), "One": Ordered("1"), "Two": Ordered("2"), "Turn": RoundRobin("1"), "Turn2": RoundRobin("2"),
          "Random": Random("2"), "Load": Adaptive("1", "1")}


def start(d, nodes=NODES, **more):
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="60", IceMX__Metrics__Debug__Map__Dispatch__GroupBy="operation",
                     **more)
    for name in nodes:
        d.start_node(name, ready=False)
    c = d.communicator()
    d.extras["session"], admin = d.admin(c)
    d.extras["locator"] = d.locator_proxy(c)
    for name in nodes:
        d.await_node(admin, name)
    return admin


def deploy(admin, name, policy, *servers):
    """Servers <name>-1, … on the nodes in turn, from (activation, option…); more are settings of all."""
    nodes = {n: [] for n in NODES}
    for i, (activation, *options) in enumerate(servers, 1):
        id = "%s-%d" % (name, i)
        nodes[NODES[(i - 1) % 3]].append(dd.process(id, activation, [dd.adapter("A", id, group=name, priority=str(i))],
                                                    options=options))
    admin.addApplication(dd.application(name, {n: dd.node(*s) for n, s in nodes.items()}, [dd.group(name, policy)]))


def running(admin):
    """Three servers that run, each with an adapter in every group, called <group>-<number>."""
    nodes = {node: dd.node(dd.process("Server%d" % i, "manual", [
        dd.adapter(g, "%s-%d" % (g, i), group=g, priority=str(i)) for g in GROUPS])) for i, node in enumerate(NODES, 1)}
    admin.addApplication(dd.application("App", nodes, [dd.group(g, p) for g, p in GROUPS.items()]))
    for i in (1, 2, 3):
        admin.startServer("Server%d" % i)


def ports(prx):
    return [e.getInfo().port for e in prx.ice_getEndpoints()] if prx else []


def owners(admin):
    """Port -> number of the server."""
    return {p: i.id.split("-")[-1] for id in admin.getAllAdapterIds() for i in admin.getAdapterInfo(id) for p in ports(i.proxy)}


def timed(operation):
    begin = time.monotonic()
    result = operation()
    return result, time.monotonic() - begin


def dispatching(d, operation):
    """How many calls of that operation the registry has not answered yet."""
    admin = d.extras["session"].getAdmin()
    metrics = Ice.ObjectPrx.ice_facet(admin.getRegistryAdmin("Master"), "Metrics")
    view = IceMX.MetricsAdminPrx.uncheckedCast(metrics).getMetricsView("Debug")[0]
    return sum(m.current for m in view["Dispatch"] if m.id == operation)


def freeze(daemon):
    """Returns when it has stopped: a signal is on its way for a while."""
    daemon.freeze()

    def stopped():
        with open("/proc/%d/stat" % daemon.pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    wait_until(stopped, "the end of all movement of " + daemon.name)


# ---- nodes that freeze

def frozen_node(d):
    """A node that does not answer costs the first request a moment and the others nothing; what others have is given out."""
    admin = start(d)
    running(admin)
    locate = d.extras["locator"].findAdapterById
    who = owners(admin)
    names = lambda prx: "".join(who[p] for p in ports(prx))
    check(names(locate("All")) == "123" and names(locate("One")) == "1", "before: " + names(locate("All")))
    freeze(d.daemons["node1"])
    wanted = {"All": ("23",), "One": ("2",), "Two": ("23",), "Turn": ("2", "3"), "Turn2": ("23", "32"),
              "Random": ("23", "32"), "Load": ("2", "3")}
    for group, answers in wanted.items():
        prx, seconds = timed(lambda: locate(group))
        check(names(prx) in answers, "%s: %s" % (group, names(prx)))
        check(seconds < 5, "%s took %.1f s" % (group, seconds))
    for group, answers in wanted.items():
        for _ in range(20):
            prx, seconds = timed(lambda: locate(group))
            check(names(prx) in answers, "%s: %s" % (group, names(prx)))
            check(seconds < 0.9, "%s took %.1f s again" % (group, seconds))
    check(timed(lambda: locate("One-2"))[1] < 0.9, "another adapter was slow")
    d.daemons["node1"].thaw()
    wait_until(lambda: names(locate("All")) == "123" and names(locate("One")) == "1", "the node that is back")


def frozen_nodes(d):
    """When no node answers the request waits, and is answered by the first that does."""
    admin = start(d)
    running(admin)
    for node in NODES:
        freeze(d.daemons[node])
    pending = {g: d.extras["locator"].findAdapterByIdAsync(g) for g in GROUPS}
    check(timed(d.extras["locator"].getLocalQuery)[1] < 2, "others had to wait")
    time_over = time.monotonic() + 2  # longer than a silent node counts as one that may answer
    wait_until(lambda: time.monotonic() > time_over, "time")
    check(not any(f.done() for f in pending.values()), "answered without anybody: %s" % {
        g: f.done() for g, f in pending.items()})
    d.daemons["node3"].thaw()
    for group, future in pending.items():
        check(future.result(20) is not None, "%s has no proxy" % group)
    for node in NODES:
        d.daemons[node].thaw()


# ---- servers that do not start

def failing(d):
    """A member that is being started is waited for when all others fail, whatever the order."""
    admin = start(d)
    locate = d.extras["locator"].findAdapterById
    slow, fails, idle = ("on-demand", "--delay=2"), ("on-demand", "--exit=1"), ("manual",)
    deploy(admin, "A", Ordered("1"), slow, idle)
    deploy(admin, "B", Ordered("1"), fails, slow)
    deploy(admin, "C", Random("1"), slow, fails, idle)
    deploy(admin, "D", RoundRobin("1"), fails, slow)
    deploy(admin, "E", Ordered("1"), fails, idle)
    for group in "ABCD":
        check(locate(group) is not None, "no proxy of " + group)
    check(locate("E") is None, "a proxy of who failed")


# ---- callers

CALLER = """
import sys, threading, Ice, IceGrid
c = Ice.initialize(sys.argv)
locator = IceGrid.LocatorPrx.uncheckedCast(c.stringToProxy(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    locator.findAdapterByIdAsync("Slow")
locator.ice_ping()
print("waiting", flush=True)
threading.Event().wait()
"""


def callers_gone(d):
    """Who waits and dies leaves nothing behind; one process was started, and others get it."""
    admin = start(d)
    deploy(admin, "Slow", Random("0"), ("on-demand", "--delay=6"), ("on-demand", "--delay=6"), ("on-demand", "--delay=6"))
    waiting = Daemon("caller", ["/usr/bin/python3", "-c", CALLER, str(d.locator_proxy(d.communicator())), "2000"],
                     d.directory)
    waiting.await_line("waiting")
    wait_until(lambda: dispatching(d, "findAdapterById") == 2000, "2000 that wait", 5)
    waiting.kill()
    wait_until(lambda: dispatching(d, "findAdapterById") == 0, "the end of all requests", 4)
    check(admin.getServerState("Slow-1") == State.Activating, "the servers were ready before")
    check(len(ports(d.extras["locator"].findAdapterById("Slow"))) == 3, "not three")


def many_callers(d):
    """Thousands that wait for the same group are all answered, at once and alike."""
    admin = start(d)
    deploy(admin, "Slow", Ordered("0"), ("on-demand", "--delay=3"), ("on-demand", "--delay=3"))
    futures = [d.extras["locator"].findAdapterByIdAsync("Slow") for _ in range(3000)]
    first = futures[0].result(30)
    pids = [admin.getServerPid("Slow-%d" % i) for i in (1, 2)]
    check(all(f.result(30) == first for f in futures), "different answers")
    check(len(ports(first)) == 2, "not both")
    check(pids == [admin.getServerPid("Slow-%d" % i) for i in (1, 2)], "started again")


# ---- the registry

def registry_returns(d):
    """After kill -9 the group is found as soon as the registry is there again: it waits for the nodes."""
    admin = start(d)
    running(admin)
    before = ports(d.extras["locator"].findAdapterById("One"))
    d.daemons["Master"].kill()
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="60")
    locator = d.locator_proxy(d.communicator())
    check(ports(locator.findAdapterById("One")) != [], "no proxy")
    admin = d.admin(d.communicator())[1]
    for node in NODES:
        d.await_node(admin, node)
    wait_until(lambda: ports(locator.findAdapterById("One")) == before, "the first member")


CASES = [frozen_node, frozen_nodes, failing, callers_gone, many_callers, registry_returns]
