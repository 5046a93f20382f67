# SPDX-License-Identifier: Apache-2.0
"""Replicas and nodes in network namespaces, cut off from each other in both directions or in one. Rows 1b, 18, 19 and 20 of
icegrid-internal 20, and one-way packet loss."""

import time

import IceGrid

from lib import descriptors as dd
from lib.network import Network
from lib.process import wait_until

from . import check
from .replicas import AT_ONCE, BOUND, TIMEOUT, Writer, added, alike, registries, slowest_lookup


class Net:
    """The case's own deployment, in namespaces; its daemons' last words go to the failure."""

    def __init__(self, d, *members):
        self.network = Network(d.flavour, *members)

    def __enter__(self):
        return self.network

    def __exit__(self, kind, value, trace):
        if value is not None:
            value.args = ("%s\n%s" % (value, self.network.logs()),)
        self.network.close()


def begin(n, kinds):
    for replica, kind in kinds.items():
        n.launch(replica, kind, IceGrid__Registry__NodeSessionTimeout=str(TIMEOUT), IceGrid__Registry__Trace__Node="1")
    w = Writer(n)
    w.write()
    alike(n, *kinds)
    return w


def both(n, cut, a, b):
    cut(a, b)
    cut(b, a)


def slave_cut_off(d):
    """18, 20: no packet between the master and one slave, of ZeroC's; the other slave and the clients reach both. The first
    write waits 5 s at most, the next ones not at all; healed, the slave is back."""
    with Net(d, "Master", "Replica1", "Replica2") as n:
        w = begin(n, {"Master": None, "Replica1": "zeroc", "Replica2": None})
        both(n, n.cut, "Master", "Replica1")
        first = w.write()
        check(1 < first <= BOUND, "the first write took %.1f s" % first)
        check(max(w.write() for _ in range(10)) < AT_ONCE, "later writes wait")
        check(added(n, "Replica2") == added(n, "Master"), "the other slave does not follow")
        longest = slowest_lookup(n, "Replica1", 3)
        check(longest < 1, "a lookup through the slave that is cut off took %.1f s" % longest)
        both(n, n.heal, "Master", "Replica1")
        wait_until(lambda: "Registry-Replica1" in registries(n), "the slave's return", 120)
        alike(n, "Master", "Replica1", "Replica2")


def silence(d):
    """18 without a write: both sides notice within the session timeout; our slave under ZeroC's master."""
    with Net(d, "Master", "Replica1") as n:
        begin(n, {"Master": "zeroc", "Replica1": None})
        both(n, n.cut, "Master", "Replica1")
        began = time.monotonic()
        lost = []

        def noticed():
            if not lost and "lost session" in n.daemons["Replica1"].stderr():
                lost.append(time.monotonic() - began)
            return lost
        longest = slowest_lookup(n, "Replica1", TIMEOUT + 10, noticed)
        check(lost and lost[0] <= TIMEOUT + 1, "noticed after %s s" % (lost or "?"))
        check(longest < 1, "a lookup took %.1f s" % longest)
        both(n, n.heal, "Master", "Replica1")
        wait_until(lambda: "Registry-Replica1" in registries(n), "the slave's return", 120)
        alike(n, "Master", "Replica1")


def one_way(d, source, target, kind):
    with Net(d, "Master", "Replica1", "Replica2") as n:
        w = begin(n, {"Master": None, "Replica1": kind, "Replica2": kind})
        n.cut(source, target)
        first = w.write()
        check(first <= BOUND, "the first write took %.1f s" % first)
        check(max(w.write() for _ in range(10)) < AT_ONCE, "later writes wait")
        longest = max(slowest_lookup(n, "Replica1", 2), slowest_lookup(n, "Replica2", 1))
        check(longest < 1, "a lookup took %.1f s" % longest)
        check(added(n, "Replica2") == added(n, "Master"), "the other slave does not follow")
        wait_until(lambda: "Registry-Replica1" not in registries(n), "the slave leaving the table", TIMEOUT + 10)
        n.heal(source, target)
        wait_until(lambda: "Registry-Replica1" in registries(n), "the slave's return", 120)
        alike(n, "Master", "Replica1", "Replica2")


def nothing_reaches_our_slave(d):
    """What the master sends is lost, what the slave sends arrives."""
    one_way(d, "Master", "Replica1", None)


def nothing_reaches_their_slave(d):
    one_way(d, "Master", "Replica1", "zeroc")


def nothing_comes_from_our_slave(d):
    """What the slave sends is lost, acknowledgements and keep-alives too; what the master sends arrives."""
    one_way(d, "Replica1", "Master", None)


def nothing_comes_from_their_slave(d):
    one_way(d, "Replica1", "Master", "zeroc")


def master_cut_off(d):
    """The master is cut off from all slaves, one of them is promoted, the network heals: the old master ends itself and takes
    no write that the new one would not know of."""
    with Net(d, "Master", "Replica1", "Replica2") as n:
        begin(n, {"Master": None, "Replica1": None, "Replica2": None})
        for replica in ("Replica1", "Replica2"):
            both(n, n.cut, "Master", replica)
        wait_until(lambda: registries(n) == ["Registry"], "the slaves leaving the table", TIMEOUT + 10)
        n.daemons["Replica1"].stop()
        n.launch("Replica1", IceGrid__Registry__ReplicaName="Master")
        wait_until(lambda: "Registry-Replica2" in registries(n, "Replica1"), "the other slave at the new master", 60)
        for replica in ("Replica1", "Replica2"):
            both(n, n.heal, "Master", replica)
        n.daemons["Master"].await_exit(60)
        check("taken this one's place" in n.daemons["Master"].stderr(), n.daemons["Master"].stderr())
        check(n.daemons["Replica1"].alive(), "the new master ended, too")


# ---- with a node

CONTACT = 10  # seconds a master gives a node that is away to come back (registry/node_contact.c)


def begin_with_node(n, kinds):
    """A node with two servers, of which one runs; (writer, {replica: Admin}, how to ask a replica for a server's proxy).
    The servers do not wait for a registry that is cut off."""
    w = begin(n, kinds)
    n.launch_node("node1", "Master", "Replica1")
    admins = {r: w.admin if r == "Master" else n.admin(n.communicator(), r)[1] for r in kinds}
    for admin in admins.values():
        n.await_node(admin, "node1")
    patience = [("Ice.Override.ConnectTimeout", "1000")]
    w.admin.addApplication(dd.application("Two", {"node1": dd.node(*[
        dd.process(name, properties=patience) for name in ("Running", "Idle")])}))

    def ask(replica, server):
        c = n.communicator()
        try:
            return n.locator_proxy(c, replica).findAdapterById(server + ".A")
        finally:
            n.drop(c)
    for name in ("Running", "Idle"):
        check(ask("Master", name), "%s was not started" % name)
    w.admin.stopServer("Idle")  # at its first start the node asks the master, and would wait for it
    return w, admins, ask


def timed(operation):
    began = time.monotonic()
    operation()
    return time.monotonic() - began


def unreachable(operation):
    try:
        operation()
        return False
    except (IceGrid.NodeUnreachableException, IceGrid.NodeNotExistException):
        return True


def node_cut_off_from_master(d):
    """19: the node reaches the slave only. Through the slave its servers are found and started; the master takes it for down
    within the session timeout, and answers everything else meanwhile. Healed, it is there again, and its servers run on."""
    with Net(d, "Master", "Replica1", "node1") as n:
        w, admins, ask = begin_with_node(n, {"Master": None, "Replica1": None})
        pid = admins["Replica1"].getServerPid("Running")
        both(n, n.cut, "Master", "node1")
        check(ask("Replica1", "Running"), "the server is not found through the slave")
        check(ask("Replica1", "Idle"), "the server is not started through the slave")
        check(w.write() < AT_ONCE, "a write waits for the node")
        def down():
            return "node `node1' down" in n.daemons["Master"].stderr()
        longest = slowest_lookup(n, "Master", TIMEOUT + 1, down)
        check(longest < 1, "a lookup through the master took %.1f s" % longest)
        check(down(), "the node is not down at the master")
        for limit in (CONTACT + AT_ONCE, AT_ONCE):  # the first one may try to bring the node back, once
            took = timed(lambda: check(ask("Master", "Running") is None, "found by the master"))
            check(took < limit, "a lookup waited %.1f s" % took)
        check(timed(lambda: check(unreachable(lambda: admins["Master"].getServerPid("Running")), "reached")) < AT_ONCE,
              "it waited")
        check(admins["Replica1"].pingNode("node1"), "the slave has lost the node")
        both(n, n.heal, "Master", "node1")
        wait_until(lambda: admins["Master"].pingNode("node1"), "the node's return", 120)
        wait_until(lambda: ask("Master", "Running") == ask("Replica1", "Running"), "the same proxy everywhere", 60)
        check([a.getServerPid("Running") for a in admins.values()] == [pid, pid], "the server was started anew")


def slave_cut_off_from_master_and_node(d):
    """20: nothing of it is seen at the master but the first write's wait; the slave, which is ZeroC's, is back with both."""
    with Net(d, "Master", "Replica1", "node1") as n:
        w, admins, ask = begin_with_node(n, {"Master": None, "Replica1": "zeroc"})
        for other in ("Master", "node1"):
            both(n, n.cut, "Replica1", other)
        first = w.write()
        check(1 < first <= BOUND, "the first write took %.1f s" % first)
        check(max(w.write() for _ in range(10)) < AT_ONCE, "later writes wait")
        check(ask("Master", "Running"), "the running server is not found through the master")
        check(ask("Master", "Idle"), "the server is not started through the master")
        check(admins["Master"].pingNode("node1"), "the master has lost the node")
        longest = slowest_lookup(n, "Replica1", 2)
        check(longest < 1, "a lookup through the slave took %.1f s" % longest)
        for other in ("Master", "node1"):
            both(n, n.heal, "Replica1", other)
        wait_until(lambda: "Registry-Replica1" in registries(n), "the slave's return", 120)
        alike(n, "Master", "Replica1")
        wait_until(lambda: ask("Replica1", "Idle") == ask("Master", "Idle"), "the node at the slave", 120)


CASES = [slave_cut_off, silence, nothing_reaches_our_slave, nothing_reaches_their_slave, nothing_comes_from_our_slave,
         nothing_comes_from_their_slave, master_cut_off, node_cut_off_from_master, slave_cut_off_from_master_and_node]
