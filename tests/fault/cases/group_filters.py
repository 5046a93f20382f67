# SPDX-License-Identifier: Apache-2.0
"""Filters of replica groups and types: objects of the site's own that choose among members and among the objects of a type,
and what becomes of both when they cannot."""

import os
import signal
import sys
import threading

from lib import descriptors as dd
from lib.bindings import Ice, IceGrid

from . import check
from .groups import deploy as deploy_group, owners, ports, start, timed

SLICE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "slice"))
for name in ("BuiltinSequences", "Current"):  # what loadSlice calls included files
    sys.modules.setdefault("Ice_%s_ice" % name, sys.modules["Ice.%s_ice" % name])
Ice.loadSlice("", ["-I" + SLICE, os.path.join(SLICE, "Moulin", "Registry.ice")])
import Moulin  # noqa: E402


class Told:
    """Does what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.choose = lambda of: of
        self.asked = []
        self.hold = threading.Event()
        self.hold.set()

    def answer(self, of, *asked):
        self.asked.append(asked)
        self.hold.wait(20)
        return self.choose(of)


class Filter(Told, Moulin.ReplicaGroupFilter):
    def filter(self, group, ids, context, address, current):
        return self.answer(ids, group, ids, context, address)


class TypeFilter(Told, Moulin.TypeFilter):
    def filter(self, type, proxies, context, address, current):
        return self.answer(proxies, type, names(proxies), context, address)


def serve(d):
    """(filter, communicator it lives in)"""
    c = d.communicator(Ice__ThreadPool__Server__SizeMax="8")
    adapter = c.createObjectAdapterWithEndpoints("Filters", d.endpoint("Filters"))
    servant = Filter()
    adapter.add(servant, Ice.stringToIdentity("filter"))
    adapter.activate()
    return servant, c


def names(proxies):
    return "".join(p.ice_getIdentity().name for p in proxies)


def grid(d):
    proxy = "filter:" + d.endpoint("Filters")
    return start(d, nodes=("node1",), Moulin__Registry__GroupFilter__Mine=proxy, Moulin__Registry__DynamicGroupFilter=proxy)


def deploy(admin):
    """Three servers on one node, that run, in an ordered, a round-robin and a random group, and one whose filter is unknown."""
    groups = []
    for name, policy, filter in (("Order", IceGrid.OrderedLoadBalancingPolicy("0"), "Mine"),
                                 ("Turn", IceGrid.RoundRobinLoadBalancingPolicy("1"), "Mine"),
                                 ("Any", IceGrid.RandomLoadBalancingPolicy("1"), "Mine"),
                                 ("Free", IceGrid.OrderedLoadBalancingPolicy("0"), "Unknown")):
        groups.append(dd.group(name, policy, [dd.obj("all-" + name)]))
        groups[-1].filter = filter
    servers = [dd.process("S%d" % i, "manual", [dd.adapter(g.id, "%s-%d" % (g.id, i), group=g.id, priority=str(i))
                                               for g in groups]) for i in (1, 2, 3)]
    admin.addApplication(dd.application("App", {"node1": dd.node(*servers)}, groups))
    for i in (1, 2, 3):
        admin.startServer("S%d" % i)


def chooses(d):
    """The filter's choice and order count; what it invents or says twice does not."""
    servant, _ = serve(d)
    admin = grid(d)
    deploy(admin)
    who = owners(admin)
    query = d.query(d.communicator())

    def locate(group, context=None):
        locator = d.extras["locator"].ice_context(context) if context else d.extras["locator"]
        return "".join(who[p] for p in ports(locator.findAdapterById(group)))

    def replicas(group):
        return [p.ice_getAdapterId() for p in query.findAllReplicas(query.ice_getCommunicator().stringToProxy("x@" + group))]

    check(locate("Order") == "123", locate("Order"))
    check(servant.asked[-1][0] == "Order" and servant.asked[-1][1] == ["Order-1", "Order-2", "Order-3"], servant.asked)
    check(servant.asked[-1][3] == "127.0.0.1", servant.asked)
    locate("Order", {"currency": "EUR"})
    check(servant.asked[-1][2] == {"currency": "EUR"}, servant.asked)
    servant.choose = lambda ids: list(reversed(ids))
    check(locate("Order") == "321" and replicas("Order") == ["Order-3", "Order-2", "Order-1"], "not reversed")
    servant.choose = lambda ids: ["nobody", "Turn-1", "Order-2", "Order-2", "Free-1", "Order-1"]
    check(locate("Order") == "21" and replicas("Order") == ["Order-2", "Order-1"], "not the two: " + locate("Order"))
    servant.choose = lambda ids: []
    check(locate("Order") == "" and replicas("Order") == [] and locate("Turn") == "", "somebody is left of nobody")
    servant.choose = lambda ids: [i for i in ids if i[-1] in "13"]
    # the turn passes over all members, so that who comes after one that is left out has two
    check(sorted(locate("Turn") for _ in range(6)) == list("113333"), "turns among those that are left")
    check({locate("Any") for _ in range(40)} == {"1", "3"}, "any of those that are left")
    asked = len(servant.asked)
    check(locate("Free") == "123" and replicas("Free") == ["Free-1", "Free-2", "Free-3"], "an unknown filter filters")
    check(len(servant.asked) == asked, "asked for others")


def of_dynamic_groups(d):
    servant, c = serve(d)
    grid(d)
    registry = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    for i in (1, 2, 3):
        registry.setReplicatedAdapterDirectProxy("D%d" % i, "Dynamic", c.stringToProxy("dummy:tcp -h 127.0.0.1 -p %d" % i))
    locate = d.extras["locator"].findAdapterById
    check(ports(locate("Dynamic")) == [1, 2, 3], str(locate("Dynamic")))
    servant.choose = lambda ids: ["D3", "nobody", "D1"]
    check(ports(locate("Dynamic")) == [3, 1], str(locate("Dynamic")))
    replicas = d.query(c).findAllReplicas(c.stringToProxy("x@Dynamic"))
    check([p.ice_getAdapterId() for p in replicas] == ["D3", "D1"], str(replicas))
    servant.choose = lambda ids: []
    check(locate("Dynamic") is None, "somebody is left")
    check(ports(locate("D2")) == [2], "an adapter was filtered")


def fails(d):
    """A filter that throws, hangs or is gone leaves nobody, after a bounded time, and everybody else alone; one line tells."""
    servant, c = serve(d)
    admin = grid(d)
    deploy(admin)
    locate = d.extras["locator"].findAdapterById
    log = d.daemons["Master"].stderr

    def throw(ids):
        raise RuntimeError("out of order")
    servant.choose = throw
    for _ in range(3):
        check(locate("Order") is None, "a filter that throws filters nothing")
    check(log().count("replica group filter `Mine'") == 1, log())
    servant.choose = lambda ids: ids
    check(len(ports(locate("Order"))) == 3, "not well again")
    servant.hold.clear()
    pending = [d.extras["locator"].findAdapterByIdAsync(g) for g in ("Order", "Turn", "Any") * 10]
    check(timed(lambda: locate("Free"))[1] < 1.5, "others wait for the filter")
    check(timed(lambda: [f.result(20) for f in pending])[1] < 6, "waited too long")
    check(not any(f.result() for f in pending), "a filter that hangs filters nothing")
    gone = d.communicator()
    for _ in range(50):
        d.locator_proxy(gone).findAdapterByIdAsync("Order")
    d.drop(gone)
    servant.hold.set()
    check(len(ports(locate("Order"))) == 3, "not well again")
    d.drop(c)
    check(locate("Order") is None, "a filter that is gone filters nothing")
    check(len(ports(locate("Free"))) == 3, "others have no proxies")
    check(d.daemons["Master"].stop() == 0, "the registry's end")


def ends(d):
    """The registry stops while it waits for a filter and for servers."""
    servant, _ = serve(d)
    admin = grid(d)
    deploy(admin)
    deploy_group(admin, "Slow", IceGrid.OrderedLoadBalancingPolicy("0"), ("on-demand", "--delay=30"))
    servant.hold.clear()
    pending = [d.extras["locator"].findAdapterByIdAsync(g) for g in ("Order", "Turn", "Slow") * 5]
    d.extras["locator"].ice_ping()
    d.daemons["Master"].signal(signal.SIGTERM)
    for f in pending:  # the filter still hangs
        try:
            check(f.result(5) is None, "a proxy")
        except Ice.LocalException:
            pass
    servant.hold.set()
    check(d.daemons["Master"].await_exit() == 0, "status")


def of_types(d):
    """Every query by a filtered type is answered from what the filter leaves, in its order; when it fails, with nothing."""
    servant, c = TypeFilter(), d.communicator(Ice__ThreadPool__Server__SizeMax="8")
    adapter = c.createObjectAdapterWithEndpoints("Filters", d.endpoint("Filters"))
    adapter.add(servant, Ice.stringToIdentity("filter"))
    adapter.activate()
    options = {"Moulin.Registry.TypeFilter.::Test::Job": "filter:" + d.endpoint("Filters")}
    admin = start(d, nodes=(), **options)
    admin.addApplication(dd.application("App", {"node1": dd.node(dd.server("S", [
        dd.adapter("A", "S.A", [dd.obj(n, "::Test::Job") for n in "ba"] + [dd.obj("free", "::Test::Free")])]))}))
    for n in "dc":
        admin.addObjectWithType(c.stringToProxy(n + ":tcp -h 127.0.0.1 -p 10000"), "::Test::Job")
    query = d.query(c)
    sample = IceGrid.LoadSample.LoadSample1

    def found():
        """All of them, any in forty tries, the least loaded in forty tries."""
        one = {str(query.findObjectByType("::Test::Job")) for _ in range(40)}
        least = {str(query.findObjectByTypeOnLeastLoadedNode("::Test::Job", sample)) for _ in range(40)}
        return names(query.findAllObjectsByType("::Test::Job")), "".join(sorted(o[0] for o in one)), "".join(sorted(o[0] for o in least))

    # the node is away, and so are its objects when the least loaded is looked for
    check(found() == ("abcd", "abcd", "cd"), str(found()))
    check(servant.asked[-1] == ("::Test::Job", "abcd", {}, "127.0.0.1"), str(servant.asked[-1]))
    query.ice_context({"colour": "red"}).findAllObjectsByType("::Test::Job")
    check(servant.asked[-1][2] == {"colour": "red"}, str(servant.asked[-1]))
    servant.choose = lambda proxies: [p for p in reversed(proxies) if p.ice_getIdentity().name != "c"]
    check(found() == ("dba", "abd", "d"), str(found()))
    servant.choose = lambda proxies: [c.stringToProxy("x:tcp -h 127.0.0.1 -p 1"), None, c.stringToProxy("b:tcp -p 1"), proxies[1]]
    check(found() == ("b", "b", "b"), str(found()))
    check(str(query.findObjectByType("::Test::Job")) == "b -t -e 1.1 @ S.A", "not the registry's own proxy")
    servant.choose = lambda proxies: []
    check(found() == ("", "N", "N"), str(found()))  # the N of None
    asked = len(servant.asked)
    check(names(query.findAllObjectsByType("::Test::Free")) == "free" and len(servant.asked) == asked, "asked for others")
    check(query.findAllObjectsByType("::Test::Nothing") == [], "nothing of no type")

    def throw(proxies):
        raise RuntimeError("out of order")
    servant.choose = throw
    for _ in range(3):
        check(query.findAllObjectsByType("::Test::Job") == [], "a filter that throws filters nothing")
    log = d.daemons["Master"].stderr
    check(log().count("type filter `::Test::Job' cannot be asked") == 1, log())
    servant.choose = lambda proxies: proxies
    servant.hold.clear()
    pending = [query.findAllObjectsByTypeAsync("::Test::Job") for _ in range(20)]
    gone = d.communicator()
    for _ in range(20):
        d.query(gone).findObjectByTypeAsync("::Test::Job")
    admin.removeObject(Ice.stringToIdentity("d"))  # while it is asked about
    d.drop(gone)
    check(timed(lambda: query.findAllObjectsByType("::Test::Free"))[1] < 1.5, "others wait for the filter")
    check(timed(lambda: [f.result(20) for f in pending])[1] < 6 and not any(f.result() for f in pending), "waited too long")
    servant.hold.set()
    check(names(query.findAllObjectsByType("::Test::Job")) == "abc", "not well again")
    servant.hold.clear()
    pending = [query.findObjectByTypeAsync("::Test::Job") for _ in range(5)]
    query.ice_ping()
    d.daemons["Master"].signal(signal.SIGTERM)
    for f in pending:
        try:
            check(f.result(5) is None, "a proxy")
        except Ice.LocalException:
            pass
    servant.hold.set()
    check(d.daemons["Master"].await_exit() == 0, "status")


CASES = [chooses, of_dynamic_groups, fails, ends, of_types]
