# SPDX-License-Identifier: Apache-2.0
"""Replica groups of deployed servers on three of ZeroC's nodes: who is chosen, in which order, and how many."""

import time

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

State = IceGrid.ServerState
NODES = ("node1", "node2", "node3")
Random, Ordered = IceGrid.RandomLoadBalancingPolicy, IceGrid.OrderedLoadBalancingPolicy
RoundRobin, Adaptive = IceGrid.RoundRobinLoadBalancingPolicy, IceGrid.AdaptiveLoadBalancingPolicy

# The groups of the running servers: each server has one adapter in each, <group>-<number of the server>.
GROUPS = {
    "Random0": Random("0"), "Random1": Random("1"), "Random2": Random("2"), "Random9": Random("9"),
    "Ordered0": Ordered("0"), "Ordered1": Ordered("1"), "Ordered2": Ordered("2"),
    "Turn0": RoundRobin("0"), "Turn1": RoundRobin("1"), "Turn2": RoundRobin("2"),
    "Load0": Adaptive("0", "1"), "Load1": Adaptive("1", "1"), "Load2": Adaptive("2", "5"), "LoadX": Adaptive("1", ""),
}
FACTORS = {"node1": "1000", "node2": "1", "node3": "1000000"}
PRIORITIES = {1: "3", 2: "", 3: "2"}  # 2, 3, 1


def admin_of(d):
    return d.extras["admin"]


def grid(flavour, nodes=NODES, **more):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10", **more)
    d.start_registry("Slave1")
    for name in nodes:
        d.start_node(name, ready=False)
    c = d.communicator()
    d.extras["session"], d.extras["admin"] = d.admin(c)
    d.extras["locator"] = d.locator_proxy(c)
    d.extras["query"] = d.query(c)
    d.extras["registry"] = Ice.LocatorRegistryPrx.uncheckedCast(
        c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    for name in nodes:
        d.await_node(admin_of(d), name)
    return d


def member(number, group, id=None):
    return dd.adapter(group, id or "%s-%d" % (group, number), group=group, priority=PRIORITIES[number],
                      objects=[dd.obj("%s-object-%d" % (group, number), "::Test::" + group)])


def running(flavour):
    """Three servers that run, one on each node."""
    d = grid(flavour)
    nodes = {name: dd.node(dd.process("Server%d" % i, "manual", [member(i, g) for g in GROUPS]),
                           loadFactor=FACTORS[name]) for i, name in enumerate(NODES, 1)}
    groups = [dd.group(id, policy, [dd.obj(id + "-all", "::Test::All")]) for id, policy in GROUPS.items()]
    admin_of(d).addApplication(dd.application("App", nodes, groups))
    for i in (1, 2, 3):
        admin_of(d).startServer("Server%d" % i)
    return d


def names(d):
    """Port -> number of the server."""
    ports = d.extras.setdefault("names", {})
    for id in admin_of(d).getAllAdapterIds():
        for info in admin_of(d).getAdapterInfo(id):
            for endpoint in info.proxy.ice_getEndpoints() if info.proxy else ():
                ports[endpoint.getInfo().port] = info.id
    return ports


def located(d, group, locator=None):
    """Whom the group's proxy leads to: numbers of servers, None for no proxy."""
    try:
        prx = (locator or d.extras["locator"]).findAdapterById(group)
    except Ice.Exception as e:
        return e.ice_id()
    if prx is None:
        return None
    ports = [e.getInfo().port for e in prx.ice_getEndpoints()]
    known = d.extras.get("names", {})
    if any(p not in known for p in ports):
        known = names(d)
    return [known.get(p, "?").rsplit("-", 1)[-1] for p in ports]


def sequence(d, group, count=9, locator=None):
    return ["".join(located(d, group, locator) or ["none"]) for _ in range(count)]


def timed(d, group, limit=3.0):
    """located, and whether it came soon: long before a slow server is ready."""
    begin = time.monotonic()
    who = located(d, group)
    return who, "soon" if time.monotonic() - begin < limit else "late"


def await_state(d, server, wanted):
    state = lambda: admin_of(d).getServerState(server)
    wait_until(lambda: state() == wanted, lambda: "%s of %s, which is %s" % (wanted, server, state()))


# ---- servers that run

def random(d, r):
    r.value("all of them", sorted(set("".join(sorted(located(d, "Random0"))) for _ in range(10))))
    r.value("more than there are", sorted(located(d, "Random9")))
    orders = {"".join(located(d, "Random0")) for _ in range(200)}
    r.value("every order", len(orders))
    one = [located(d, "Random1") for _ in range(300)]
    r.value("one at a time", {len(who) for who in one} == {1})
    counts = [one.count([n]) for n in "123"]
    r.value("each as often", all(60 < n < 140 for n in counts))
    two = {"".join(located(d, "Random2")) for _ in range(200)}
    r.value("every pair", sorted(two))


def ordered(d, r):
    for group in ("Ordered0", "Ordered1", "Ordered2"):
        r.value(group, sequence(d, group, 3))


def turns(d, r):
    for group in ("Turn0", "Turn1", "Turn2"):
        r.value(group, sequence(d, group))


def adaptive(d, r):
    def has_load(node):
        load = admin_of(d).getNodeLoad(node)
        return min(load.avg1, load.avg5, load.avg15) > 0.0001
    wait_until(lambda: all(map(has_load, NODES)), "some load of every node")
    for group in ("Load0", "Load1", "Load2", "LoadX"):
        r.value(group, sequence(d, group, 3))


def answers(d, r):
    """The proxies themselves."""
    locator = d.extras["locator"]
    for group in ("Ordered1", "Ordered2"):
        prx = locator.findAdapterById(group)
        r.value(group, [str(prx).split(":")[0], prx.ice_getEncodingVersion(), prx.ice_isTwoway(), prx.ice_isSecure()])
    r.call("object of the group", locator.findObjectById, Ice.stringToIdentity("Ordered1-all"))
    r.call("object of a member", locator.findObjectById, Ice.stringToIdentity("Ordered1-object-1"))
    prx = locator.ice_getCommunicator().stringToProxy("Ordered1-all")
    old = d.communicator(Ice__Default__EncodingVersion="1.0")
    r.value("asked in encoding 1.0", located(d, "Ordered2", d.locator_proxy(old)))


def slave(d, r):
    """A slave answers as the master does; it counts the turns by itself."""
    locator = d.locator_proxy(d.communicator(), "Slave1")
    for group in ("Ordered0", "Ordered2", "Turn1", "Turn2", "Load1"):
        r.value(group, sequence(d, group, 4, locator))
    r.value("Random0", sorted(located(d, "Random0", locator)))
    r.value("least loaded", least(d, "::Test::Ordered0", query=d.query(d.communicator(), "Slave1")))


# ---- Query

def least(d, type, count=40, sample=IceGrid.LoadSample.LoadSample1, query=None):
    query = query or d.extras["query"]
    return sorted({str(query.findObjectByTypeOnLeastLoadedNode(type, sample)) for _ in range(count)})


def queries(d, r):
    query, admin = d.extras["query"], admin_of(d)
    proxy = query.ice_getCommunicator().stringToProxy
    type = "::Test::Ordered1"
    r.call("all of a type", query.findAllObjectsByType, type)
    r.value("some of a type", sorted({str(query.findObjectByType(type)) for _ in range(60)}))
    for sample in IceGrid.LoadSample.valueOf(0), IceGrid.LoadSample.valueOf(1), IceGrid.LoadSample.valueOf(2):
        r.value("least loaded, %s" % sample, least(d, type, 10, sample))
    admin.enableServer("Server2", False)
    r.call("type, one disabled", query.findAllObjectsByType, type)
    r.value("some of a type", sorted({str(query.findObjectByType(type)) for _ in range(60)}))
    r.value("least loaded", least(d, type, 10))
    r.call("by id", query.findObjectById, Ice.stringToIdentity("Ordered1-object-2"))
    r.call("type of groups", query.findAllObjectsByType, "::Test::All")
    r.value("ordered", sequence(d, "Ordered1", 2))
    r.value("turns", sequence(d, "Turn1", 6))
    admin.enableServer("Server2", True)
    await_state(d, "Server2", State.Active)
    for text in ("Ordered1-all", "Ordered1-object-1", "x@Ordered1", "x@Ordered1-1", "x@nowhere", "x:tcp -p 9999", "nobody",
                 "Ordered1-all -o -f facet", "x -e 1.0 -s @ Ordered1"):
        r.call("replicas of " + text, query.findAllReplicas, proxy(text))
    r.call("replicas of nothing", query.findAllReplicas, None)


def loads(d, r):
    """Table objects among themselves: what has no node counts 1, what is away 999.9."""
    admin, proxy = admin_of(d), d.extras["query"].ice_getCommunicator().stringToProxy
    d.extras["registry"].setAdapterDirectProxy("Dynamic", proxy("dummy:tcp -h 127.0.0.1 -p 9999"))
    sets = {"::Test::L1": ("a:tcp -h 127.0.0.1 -p 9999", "b@Dynamic", "c@nowhere"),
            "::Test::L2": ("d@away", "e@nowhere"), "::Test::L3": ("f@away", "g@Load1-3"),
            "::Test::L4": ("h@Load1", "i@Load1-1", "j@Load1-2", "k@Load1-3")}
    for type, proxies in sets.items():
        for text in proxies:
            admin.addObjectWithType(proxy(text), type)
    admin.addApplication(dd.application("Away", {"node9": dd.node(dd.process("Away", adapters=[("A", "away")]))}))
    wait_until(lambda: admin.getNodeLoad("node3").avg1 > 0.01, "some load")
    for type in sets:
        r.value(type, least(d, type))


# ---- registering

def registering(d, r):
    """Members of deployed groups are deployed: others may not join, and each only its own."""
    registry = d.extras["registry"]
    prx = registry.ice_getCommunicator().stringToProxy("dummy:tcp -h 127.0.0.1 -p 9999")
    admin_of(d).addApplication(dd.application("Idle", {"node1": dd.node(dd.process(
        "Idle", "manual", [dd.adapter("A", "Idle.A", group="IdleGroup")]))}, [dd.group("IdleGroup")]))
    for label, id, group in (("a stranger", "Stranger", "IdleGroup"), ("as the group", "IdleGroup", ""),
                             ("in its group", "Idle.A", "IdleGroup"), ("in another", "Idle.A", "Ordered1"),
                             ("in none that is known", "Idle.A", "Nowhere")):
        r.call(label, registry.setReplicatedAdapterDirectProxy, id, group, prx)
        r.call("info", admin_of(d).getAdapterInfo, "IdleGroup")
        r.value("located", str(d.extras["locator"].findAdapterById("IdleGroup")))
        r.call(label + ", withdrawn", registry.setReplicatedAdapterDirectProxy, id, group, None)
    r.call("without saying its group", registry.setAdapterDirectProxy, "Idle.A", prx)
    r.call("withdrawn", registry.setAdapterDirectProxy, "Idle.A", None)
    r.call("stranger", admin_of(d).getAdapterInfo, "Stranger")
    admin_of(d).removeApplication("Idle")


# ---- servers that are started

def deploy(d, name, policy, specs, started=(), options=None):
    """Servers <name>-1, … of the group <name> on the nodes in turn; specs: (activation, options of the process)."""
    nodes = {n: [] for n in NODES}
    for i, (activation, *args) in enumerate(specs, 1):
        nodes[NODES[(i - 1) % len(NODES)]].append(dd.process(
            "%s-%d" % (name, i), activation, [dd.adapter("A", "%s-%d" % (name, i), group=name, priority=str(i))],
            options=args, **(options or {})))
    admin_of(d).addApplication(dd.application(name, {n: dd.node(*s) for n, s in nodes.items()}, [dd.group(name, policy)]))
    for i in started:
        admin_of(d).startServer("%s-%d" % (name, i))


def all_active(d, name, count):
    for i in range(1, count + 1):
        await_state(d, "%s-%d" % (name, i), State.Active)


SLOW, FAST, IDLE = ("on-demand", "--delay=5"), ("on-demand",), ("manual",)


def starting(d, r):
    """Who is active goes before who is being started; later the order counts again."""
    deploy(d, "S1", Ordered("1"), [SLOW, FAST], started=[2])
    r.value("one, the fast", timed(d, "S1"))
    await_state(d, "S1-1", State.Active)
    r.value("one, the first", timed(d, "S1"))
    deploy(d, "S2", Ordered("2"), [SLOW, SLOW, FAST, FAST, FAST], started=[3, 4, 5])
    r.value("two, the fast", timed(d, "S2"))
    all_active(d, "S2", 2)
    r.value("two, the first", timed(d, "S2"))
    deploy(d, "S3", Ordered("2"), [SLOW, FAST, IDLE], started=[2])
    r.value("two, of which one cannot be had soon", timed(d, "S3"))
    deploy(d, "S4", Ordered("0"), [SLOW, FAST], started=[2])
    r.value("all", timed(d, "S4"))
    deploy(d, "S5", Ordered("2"), [IDLE, IDLE, FAST])
    r.value("two of one", located(d, "S5"))
    r.value("again", located(d, "S5"))
    deploy(d, "S6", Random("1"), [IDLE, IDLE, IDLE], started=[2])
    r.value("one of one", sequence(d, "S6", 5))
    deploy(d, "S7", Random("0"), [IDLE, IDLE])
    r.value("nobody", located(d, "S7"))
    admin_of(d).addApplication(dd.application("S8", {}, [dd.group("S8")]))
    r.value("no members", located(d, "S8"))


def late(d, r):
    """A member that does not start in time is not waited for any longer."""
    deploy(d, "L1", Ordered("0"), [("on-demand", "--delay=20"), FAST], started=[2], options={"activationTimeout": "3"})
    r.value("all but one", timed(d, "L1", 2.0))
    r.value("again", timed(d, "L1", 2.0))
    deploy(d, "L2", RoundRobin("1"), [("on-demand", "--delay=20"), IDLE], options={"activationTimeout": "3"})
    r.value("none in turn", located(d, "L2"))


def turns_starting(d, r):
    """Round-robin: who is active goes first; from the cold, one is waited for and all are started."""
    deploy(d, "T1", RoundRobin("1"), [FAST, FAST, FAST])
    r.value("cold", located(d, "T1"))
    all_active(d, "T1", 3)
    r.value("warm", sequence(d, "T1", 6))
    deploy(d, "T2", RoundRobin("2"), [FAST, FAST, FAST])
    r.value("cold, the first of two", located(d, "T2")[0])
    all_active(d, "T2", 3)
    r.value("warm", sequence(d, "T2", 6))
    deploy(d, "T3", RoundRobin("1"), [("on-demand", "--delay=8"), FAST, FAST], started=[2, 3])
    r.value("one slow", [timed(d, "T3") for _ in range(4)])
    await_state(d, "T3-1", State.Active)
    r.value("no more", sequence(d, "T3", 6))
    for idle in (1, 2, 3):
        name = "T4%d" % idle
        deploy(d, name, RoundRobin("1"), [IDLE, IDLE, IDLE], started={1, 2, 3} - {idle})
        r.value("%d is idle" % idle, sequence(d, name, 6))
    deploy(d, "T5", RoundRobin("2"), [IDLE, IDLE, IDLE, IDLE], started=[1, 2, 4])
    r.value("two of four, one is idle", sequence(d, "T5", 6))
    deploy(d, "T6", RoundRobin("0"), [IDLE, IDLE, IDLE], started=[2, 3])
    r.value("all, one is idle", sequence(d, "T6", 4))
    deploy(d, "T7", RoundRobin("1"), [IDLE, IDLE])
    r.value("nobody", located(d, "T7"))


def encodings(d, r):
    """Members that do not speak the caller's encoding are passed over."""
    old = ("Ice.Default.EncodingVersion", "1.0")
    admin_of(d).addApplication(dd.application("E1", {
        "node1": dd.node(dd.process("E1-1", adapters=[dd.adapter("A", "E1-1", group="E1", priority="1")], properties=[old])),
        "node2": dd.node(dd.process("E1-2", adapters=[dd.adapter("A", "E1-2", group="E1", priority="2")]))},
        [dd.group("E1", Ordered("0"))]))
    for version in "1.1", "1.0":
        locator = d.locator_proxy(d.communicator(Ice__Default__EncodingVersion=version))
        located(d, "E1", locator)
        all_active(d, "E1", 2)
        r.value("group, asked in " + version, located(d, "E1", locator))
        prx = locator.findAdapterById("E1-1")
        r.value("the old one, asked in " + version, prx and str(prx).split(":")[0])


def options(d, r):
    """What well-known objects of descriptors say besides identity and place."""
    objects = [dd.obj("plain"), dd.obj("own", "", "-e 1.0 -o"), dd.obj("secure", "", "-s")]

    def server(name, **more):
        made = [dd.obj(name + "-" + o.id.name, o.type, o.proxyOptions) for o in objects]
        return dd.server(name, [dd.adapter("A", name + ".A", made)], **more)

    group = dd.group("Options", None, [dd.obj("g-" + o.id.name, "", o.proxyOptions) for o in objects], "-o -e 1.0")
    bare = dd.group("Bare", None, [dd.obj("b-" + o.id.name, "", o.proxyOptions) for o in objects])
    admin_of(d).addApplication(dd.application("Options", {"node9": dd.node(
        server("none"), server("options", properties=[("A.ProxyOptions", "-o -s")]),
        server("encoding", properties=[("Ice.Default.EncodingVersion", "1.0")]), server("old", iceVersion="3.4.2"),
        server("new", iceVersion="3.5"), server("both", iceVersion="3.4", properties=[
            ("Ice.Default.EncodingVersion", "1.1")]))}, [group, bare]))
    for name in ("none", "options", "encoding", "old", "new", "both", "g", "b"):
        for o in objects:
            id = "%s-%s" % (name, o.id.name)
            r.call(id, d.extras["locator"].findObjectById, Ice.stringToIdentity(id))


def places(d, r):
    """Members stand in the order of their servers' ids; who comes later stands last, also who moves."""
    admin, query = admin_of(d), d.extras["query"]
    proxy = query.ice_getCommunicator().stringToProxy("x@Places")

    def process(server, adapter):
        return dd.process(server, "manual", [dd.adapter("A", adapter, group="Places")])

    def members(label):
        r.value(label, [p.ice_getAdapterId() for p in query.findAllReplicas(proxy)])

    admin.addApplication(dd.application("Places", {
        "node1": dd.node(process("zz", "a1"), process("cc", "k2")), "node2": dd.node(process("mm", "z9")),
        "node3": dd.node(process("aa", "m5"))}, [dd.group("Places", RoundRobin("1"))]))
    members("first")
    for server in ("zz", "cc", "aa"):
        admin.startServer(server)
    r.value("turns", sequence(d, "Places", 4))
    admin.addApplication(dd.application("Places2", {"node1": dd.node(process("bb", "b1"))}))
    members("of another application")
    change = IceGrid.NodeUpdateDescriptor
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="Places", nodes=[
        change(name="node2", servers=[process("ab", "q1")])]))
    members("added")
    admin.updateApplication(IceGrid.ApplicationUpdateDescriptor(name="Places", nodes=[
        change(name="node2", removeServers=["mm"]), change(name="node1", servers=[process("mm", "z9")])]))
    members("moved")
    r.value("the turn goes on", sequence(d, "Places", 4))
    admin.removeApplication("Places2")
    members("removed")


def away(d, r):
    """Members on a node that is gone are passed over."""
    d.daemons["node2"].stop()
    wait_until(lambda: not admin_of(d).pingNode("node2"), "end of node2")
    for group in ("Ordered0", "Ordered1", "Turn0", "Turn1", "Turn2", "Load1", "Load0"):
        r.value(group, sequence(d, group, 5))
    r.value("Random0", sorted(located(d, "Random0")))
    r.value("Random1", sorted(set(sequence(d, "Random1", 60))))
    r.call("replicas", d.extras["query"].findAllReplicas,
           d.extras["query"].ice_getCommunicator().stringToProxy("Ordered1-all"))
    r.value("on a slave", sequence(d, "Ordered0", 2, d.locator_proxy(d.communicator(), "Slave1")))
    for i in (1, 3):
        admin_of(d).stopServer("Server%d" % i)
    r.value("nobody", [located(d, g) for g in ("Ordered0", "Turn1", "Random2", "Load1")])


def plan():
    return [
        ("running", running, [random, ordered, turns, adaptive, answers, slave, queries, loads, registering, away]),
        ("starting", grid, [starting, late, turns_starting, encodings, options, places]),
    ]
