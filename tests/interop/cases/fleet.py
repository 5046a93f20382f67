# SPDX-License-Identifier: Apache-2.0
"""As an operator would: two hundred servers and an IceBox on ten of ZeroC's nodes, deployed from XML, updated under load, allocated, removed."""

import concurrent.futures
import os
import pwd
import signal
import threading

import Ice

from lib import descriptors as dd
from lib.deployment import MOULIN, Deployment
from lib.process import wait_until

from .descriptor_xml import moulin
from .icegridadmin import APPS, Tool

NODES, SERVERS = 10, 200
PATIENCE = 120  # seconds all two hundred may take to start or to end
BUILT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(MOULIN))), "interop-cpp")
EMPTY = b"\6\0\0\0\1\1"  # an encapsulation without parameters
WHERE = "exe=%s/cpp_server library=%s/probe_service account=%s" % (BUILT, BUILT, pwd.getpwuid(os.getuid()).pw_name)


def fleet(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    for n in range(NODES):
        d.start_node("node%d" % n, ready=False)
    c = d.communicator(Ice__RetryIntervals="0", Ice__Default__Locator=d.locator())
    d.extras["client"] = c
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    wait_until(lambda: len(d.extras["admin"].getAllNodeNames()) == NODES, "ten nodes")
    return d


def who(d, identity):
    """What the server behind a well-known proxy calls itself."""
    proxy = d.extras["client"].stringToProxy(identity).ice_locatorCacheTimeout(0)
    return text(proxy.ice_invoke("who", Ice.OperationMode.Normal, EMPTY))


def text(answer):
    ok, out = answer
    assert ok and out[6] == len(out) - 7
    return out[7:].decode()


def in_threads(work, items):
    """{item: what work gave for it}."""
    items = list(items)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return dict(zip(items, pool.map(work, items)))


def census(d):
    """How many servers are in which state."""
    counts = {}
    for state in in_threads(d.extras["admin"].getServerState, d.extras["admin"].getAllServerIds()).values():
        counts[str(state)] = counts.get(str(state), 0) + 1
    return counts


def deploy(d, r):
    tool = Tool(d, r)
    tool.run("node list", "application add -n fleet.xml " + WHERE, "server state Worker-7")
    r.value("at rest", census(d))


def call_all(d, r):
    """Every server is started by the first who calls it, all at once."""
    answers = in_threads(lambda n: who(d, "worker-%d" % n), range(SERVERS))
    r.value("all answer", sorted(n for n, a in answers.items() if a != "Worker-%d" % n))
    r.value("the box", (who(d, "desk-North"), who(d, "desk-South")))
    # An adapter answers a moment before its server is active.
    r.value("active", wait_until(lambda: census(d) == {"Active": SERVERS + 1}, lambda: "all active: %s" % census(d)))
    pids = in_threads(d.extras["admin"].getServerPid, d.extras["admin"].getAllServerIds())
    r.value("processes", len(set(pids.values())))
    d.extras["pids"] = pids


def turns(d, r):
    answers = [who(d, "workers") for _ in range(SERVERS)]
    r.value("round robin reaches all", len(set(answers)))


def update(d, r):
    """A property of all of them changes while clients call: nobody is stopped, no call fails."""
    admin = d.extras["admin"]
    stop, failures, calls = threading.Event(), [], [0]

    def load():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                who(d, "workers" if n % 2 else "worker-%d" % (n % SERVERS))
                calls[0] += 1
            except Exception as e:
                failures.append(repr(e))

    threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
    for t in threads:
        t.start()
    wait_until(lambda: calls[0] > 20, "calls")
    tool = Tool(d, r)
    tool.run("application update -n fleet.xml greeting=welcome " + WHERE)
    before = calls[0]
    wait_until(lambda: calls[0] > before + 20, "calls after the update")
    stop.set()
    for t in threads:
        t.join()
    r.value("failed calls", failures)
    r.value("same processes", d.extras["pids"] == in_threads(admin.getServerPid, admin.getAllServerIds()))
    tool.run("server property Worker-199 Probe.Greeting", "server property Worker-0 Probe.Greeting")


def seats(d, r):
    """Two clients share the seats of a client session."""
    sessions = [d.registry_proxy(d.communicator()).createSession(name, "") for name in ("alice", "bob")]
    got = [[s.allocateObjectByType("::Probe::Seat").ice_getIdentity().name for _ in range(SERVERS // 2)] for s in sessions]
    r.value("each has another", len(set(got[0] + got[1])))
    sessions[0].setAllocationTimeout(0)
    r.kind("none is left", sessions[0].allocateObjectByType, "::Probe::Seat")
    sessions[1].releaseObject(dd.identity(got[1][0]))
    r.value("one is", sessions[0].allocateObjectByType("::Probe::Seat").ice_getIdentity().name == got[1][0])
    for s in sessions:
        s.destroy()


def node_leaves(d, r):
    """A node ends: its servers go with it, the group goes on; it returns, and they are started again."""
    admin = d.extras["admin"]
    d.daemons["node3"].stop(PATIENCE)
    wait_until(lambda: not admin.pingNode("node3"), "node3 is gone")
    r.kind("state of a server there", admin.getServerState, "Worker-60")
    r.value("the group goes on", len(set(who(d, "workers") for _ in range(SERVERS))))
    d.start_node("node3", ready=False)
    wait_until(lambda: admin.pingNode("node3"), "node3 is back")
    r.value("started again", who(d, "worker-60"))


def remove(d, r):
    tool = Tool(d, r)
    tool.run("application remove Fleet")
    # ZeroC's registry may name the last server a moment longer.
    wait_until(lambda: not d.extras["admin"].getAllServerIds(), "that no server is known")
    tool.run("server list", "application list", "adapter list")
    alive = wait_until(lambda: not [p for p in d.extras["pids"].values() if os.path.exists("/proc/%d" % p)] and "nobody",
                       "end of all servers", PATIENCE)
    r.value("left", alive)


def nodes_end(d, r):
    """All at once. Their status is their own: 3.7.8's node aborts now and then when it is done (a mutex that is gone)."""
    nodes = [d.daemons["node%d" % n] for n in range(NODES)]
    for node in nodes:
        node.signal(signal.SIGTERM)
    r.value("ended", [node.await_exit(PATIENCE) is not None for node in nodes])


def by_moulin_admin(d, r):
    """The same with our own tool: deployed, all servers called, updated under nobody's feet, removed."""
    admin, where = d.extras["admin"], WHERE.split()

    def tool(*words):
        done = moulin(d, *words)
        r.value(" ".join(words[:2]), (done.returncode, done.stderr))

    fleet_xml = os.path.join(APPS, "fleet.xml")
    tool("application", "add", "-n", fleet_xml, *where)
    answers = in_threads(lambda n: who(d, "worker-%d" % n), range(0, SERVERS, 20))
    r.value("answers", sorted(answers.values()))
    pids = in_threads(admin.getServerPid, answers.values())
    tool("application", "update", "-n", fleet_xml, "greeting=again", *where)
    r.value("same processes", pids == in_threads(admin.getServerPid, answers.values()))
    r.value("the new definition", admin.getApplicationInfo("Fleet").descriptor.variables["greeting"])
    tool("application", "remove", "Fleet")
    r.value("left", admin.getAllServerIds())


def plan():
    yield "ten nodes", fleet, [deploy, call_all, turns, update, seats, node_leaves, remove, by_moulin_admin, nodes_end]
