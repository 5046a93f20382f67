# SPDX-License-Identifier: Apache-2.0
"""A master and a slave with a node in common: the slave manages servers, too, with and without its master, and the node comes
back to whoever returns. Both registries are of the same make, or one of them is ZeroC's in either half."""

import signal

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

from .nodes import SERVER_OPERATIONS, NODE_OPERATIONS, located

State = IceGrid.ServerState
TIMEOUTS = {"IceGrid__Registry__NodeSessionTimeout": "10", "IceGrid__Registry__ReplicaSessionTimeout": "10"}


def start(d, replica):
    d.flavour = d.extras["makes"][replica]
    d.start_registry(replica, Ice__Default__EncodingVersion=d.extras["encodings"].get(replica), **TIMEOUTS)


def grid(flavour, master=None, slave=None, encodings=None):
    d = Deployment(flavour)
    d.extras["encodings"] = encodings or {}
    d.extras["makes"] = {"Master": master or flavour, "Slave": slave or flavour}
    start(d, "Master")
    start(d, "Slave")
    d.start_node(registries=("Master", "Slave"))
    d.extras["admins"] = {}
    for replica in ("Master", "Slave"):
        d.await_node(admin(d, replica))
    admin(d, "Master").addApplication(dd.application("App", {"node1": dd.node(
        dd.process("Manual", "manual"), dd.process("OnDemand"), dd.process("Always", "always"),
        dd.process("Grouped", adapters=[dd.adapter("A", "Grouped.A", group="G")]))}, [dd.group("G")]))
    return d


def admin(d, replica):
    """An Admin object of that replica, over a connection of its own."""
    if replica not in d.extras["admins"]:
        d.extras["admins"][replica] = d.admin(d.communicator(), replica)
    return d.extras["admins"][replica][1]


def forget(d, replica):
    d.extras["admins"].pop(replica, None)


def await_state(d, replica, server, wanted):
    wait_until(lambda: admin(d, replica).getServerState(server) == wanted, "%s of %s" % (wanted, server))


def both(d, r):
    """Whichever is asked, the answers are the same."""
    await_state(d, "Master", "Always", State.Active)
    for replica in ("Master", "Slave"):
        a = admin(d, replica)
        r.call(replica + " nodes", a.getAllNodeNames)
        for op in NODE_OPERATIONS:
            r.call("%s %s" % (replica, op), getattr(a, op), "node1")
        r.call(replica + " state", a.getServerState, "Manual")
        r.call(replica + " info", a.getServerInfo, "Manual")
        r.value(replica + " pid", a.getServerPid("Always") == admin(d, "Master").getServerPid("Always"))
        r.value(replica + " adapter", a.getAdapterInfo("Always.A")[0].proxy is not None)


def through_the_slave(d, r):
    a, locator = admin(d, "Slave"), d.locator_proxy(d.communicator(), "Slave")
    r.call("start", a.startServer, "Manual")
    r.call("seen by the master", admin(d, "Master").getServerState, "Manual")
    located(r, "manual", locator, "Manual.A")
    r.call("again", admin(d, "Master").startServer, "Manual")
    r.call("stop", a.stopServer, "Manual")
    located(r, "on demand", locator, "OnDemand.A")
    await_state(d, "Master", "OnDemand", State.Active)
    r.call("disable", a.enableServer, "OnDemand", False)
    r.call("enabled", admin(d, "Master").isServerEnabled, "OnDemand")
    r.call("enable", admin(d, "Master").enableServer, "OnDemand", True)
    r.call("signal", a.sendSignal, "OnDemand", "SIGKILL")
    await_state(d, "Master", "OnDemand", State.Inactive)
    server = a.getServerAdmin("Always")
    properties = Ice.PropertiesAdminPrx.uncheckedCast(server.ice_facet("Properties"))
    r.call("routed", properties.getProperty, "Ice.Admin.ServerId")
    node = Ice.PropertiesAdminPrx.uncheckedCast(a.getNodeAdmin("node1").ice_facet("Properties"))
    r.call("routed to the node", node.getProperty, "IceGrid.Node.Name")


def updates_reach_both(d, r):
    a = admin(d, "Master")
    pid = a.getServerPid("Always")
    r.call("add", a.updateApplication, IceGrid.ApplicationUpdateDescriptor(name="App", nodes=[
        IceGrid.NodeUpdateDescriptor(name="node1", servers=[dd.process("Added")])]))
    r.value("runs on", a.getServerPid("Always") == pid)
    located(r, "through the slave", d.locator_proxy(d.communicator(), "Slave"), "Added.A")
    r.call("info", lambda: admin(d, "Slave").getServerInfo("Added").revision)
    r.call("remove", a.updateApplication, IceGrid.ApplicationUpdateDescriptor(name="App", nodes=[
        IceGrid.NodeUpdateDescriptor(name="node1", removeServers=["Added"])]))
    r.call("gone", admin(d, "Slave").getServerState, "Added")
    r.kind("unknown adapter", d.locator_proxy(d.communicator(), "Slave").findAdapterById, "Added.A")


def master_dies(d, r):
    pid = admin(d, "Slave").getServerPid("Always")
    d.daemons["Master"].kill()
    forget(d, "Master")
    a, locator = admin(d, "Slave"), d.locator_proxy(d.communicator(), "Slave")
    located(r, "on demand", locator, "OnDemand.A")
    r.call("start", a.startServer, "Manual")
    r.call("stop", a.stopServer, "Manual")
    r.call("ping", a.pingNode, "node1")
    r.call("update", a.removeApplication, "App")
    r.value("runs on", a.getServerPid("Always") == pid)
    start(d, "Master")
    d.await_node(admin(d, "Master"))
    a = admin(d, "Master")
    await_state(d, "Master", "Always", State.Active)
    await_state(d, "Master", "OnDemand", State.Active)
    r.value("runs on", a.getServerPid("Always") == pid)
    located(r, "back", d.locator_proxy(d.communicator()), "OnDemand.A")
    wait_until(lambda: "Slave" in a.getAllRegistryNames(), "return of the slave")
    d.await_node(admin(d, "Slave"))
    r.call("stop through the slave", admin(d, "Slave").stopServer, "OnDemand")


def slave_dies(d, r):
    pid = admin(d, "Master").getServerPid("Always")
    d.daemons["Slave"].kill()
    forget(d, "Slave")
    r.call("start", admin(d, "Master").startServer, "Manual")
    start(d, "Slave")
    a = admin(d, "Slave")
    d.await_node(a)
    r.call("state", a.getServerState, "Manual")
    r.value("runs on", a.getServerPid("Always") == pid)
    r.call("stop", a.stopServer, "Manual")
    located(r, "on demand", d.locator_proxy(d.communicator(), "Slave"), "OnDemand.A")


def node_returns(d, r):
    """Both registries see the node go and come; what is always up runs again."""
    r.value("stop", d.daemons["node1"].stop())
    for replica in ("Master", "Slave"):
        wait_until(lambda: not admin(d, replica).pingNode("node1"), "end of node1")
        for op in SERVER_OPERATIONS:
            r.call("%s %s" % (replica, op), getattr(admin(d, replica), op), "Manual")
    d.start_node(registries=("Slave", "Master"))
    for replica in ("Master", "Slave"):
        d.await_node(admin(d, replica))
        await_state(d, replica, "Always", State.Active)
    r.call("orders", d.daemons["node1"].signal, signal.SIGTERM)
    r.value("status", d.daemons["node1"].await_exit())


def deaths(d, r):
    """One case: daemons end with the thread that started them."""
    master_dies(d, r)
    slave_dies(d, r)
    node_returns(d, r)


def plan():
    cases = [both, through_the_slave, updates_reach_both, deaths]
    return [("replicas", grid, cases), ("master of ZeroC's", lambda flavour: grid(flavour, master="zeroc"), cases),
            ("slave of ZeroC's", lambda flavour: grid(flavour, slave="zeroc"), cases),
            ("slave of encoding 1.0", lambda flavour: grid(flavour, encodings={"Slave": "1.0"}), cases),
            ("slave of ZeroC's, encoding 1.0", lambda flavour: grid(flavour, slave="zeroc", encodings={"Slave": "1.0"}), cases)]
