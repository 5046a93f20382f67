# SPDX-License-Identifier: Apache-2.0
"""Servers of activation "session" under ZeroC's node: they run for the session that has allocated them, and only for it."""

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment, keep_alive
from lib.process import wait_until

from .nodes import await_state, located

State = IceGrid.ServerState
TYPE = "::Test::Resource"


def grid(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    d.start_node()
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.await_node(d.extras["admin"])
    d.extras["admin"].addApplication(dd.application("App", {
        "node1": dd.node(dd.process("S", "session", adapters=[dd.adapter("A", "S.A", allocatables=[
            dd.obj("one", TYPE), dd.obj("two", TYPE)])], properties=[("User", "${session.id}")])),
        "node2": dd.node(dd.process("Away", "session", adapters=[dd.adapter("A", "Away.A", allocatables=[
            dd.obj("far", "::Test::Far")])]))}))
    return d


def client(d, user):
    registry = d.registry_proxy(d.communicator())
    session = registry.createSession(user, "secret")
    keep_alive(registry.ice_getConnection())
    session.setAllocationTimeout(10000)
    return session


def looks(d, r, label):
    admin = d.extras["admin"]
    info = admin.getServerInfo("S")
    r.value(label, (info.sessionId, [(p.name, p.value) for p in info.descriptor.propertySet.properties]))
    located(r, label + ", located", d.locator_proxy(d.communicator()), "S.A")


def user_of(d):
    properties = Ice.PropertiesAdminPrx.uncheckedCast(d.extras["admin"].getServerAdmin("S").ice_facet("Properties"))
    return properties.getProperty("User")


def allocated(d, r):
    admin = d.extras["admin"]
    looks(d, r, "free")
    r.call("start", admin.startServer, "S")
    alice, bob = client(d, "alice"), client(d, "bob")
    r.call("allocate", alice.allocateObjectById, dd.identity("one"))
    looks(d, r, "alice's")
    await_state(d, "S", State.Active)
    r.call("her name", user_of, d)
    pid = admin.getServerPid("S")
    r.call("her other", alice.allocateObjectById, dd.identity("two"))
    r.value("same process", admin.getServerPid("S") == pid)
    r.call("release one", alice.releaseObject, dd.identity("one"))
    r.call("state", admin.getServerState, "S")
    waiting = bob.begin_allocateObjectById(dd.identity("one"))
    r.call("release both", alice.releaseObject, dd.identity("two"))
    r.call("bob's turn", bob.end_allocateObjectById, waiting)
    looks(d, r, "bob's")
    await_state(d, "S", State.Active)
    r.call("his name", user_of, d)
    r.value("another process", admin.getServerPid("S") != pid)
    r.call("start it", admin.startServer, "S")
    r.call("stop it", admin.stopServer, "S")
    r.call("start it again", admin.startServer, "S")
    r.call("destroy", bob.destroy)
    await_state(d, "S", State.Inactive)
    looks(d, r, "free again")
    r.call("by type", alice.allocateObjectByType, "::Test::Far")
    r.call("far", alice.releaseObject, dd.identity("far"))
    alice.destroy()


def updated(d, r):
    """An update while it is allocated: the session keeps it."""
    admin = d.extras["admin"]
    carol = client(d, "carol")
    carol.allocateObjectById(dd.identity("one"))
    located(r, "started", d.locator_proxy(d.communicator()), "S.A")
    await_state(d, "S", State.Active)
    pid = admin.getServerPid("S")
    r.call("update", admin.updateApplication, IceGrid.ApplicationUpdateDescriptor(
        name="App", description=IceGrid.BoxedString("updated")))
    r.value("same process", admin.getServerPid("S") == pid)
    r.call("her name", user_of, d)
    carol.destroy()
    await_state(d, "S", State.Inactive)


def disabled(d, r):
    admin = d.extras["admin"]
    alice = client(d, "alice")
    r.call("disable", admin.enableServer, "S", False)
    r.call("by type", alice.allocateObjectByType, TYPE)
    r.call("by id", alice.allocateObjectById, dd.identity("one"))
    located(r, "located", d.locator_proxy(d.communicator()), "S.A")
    r.call("enable", admin.enableServer, "S", True)
    located(r, "located", d.locator_proxy(d.communicator()), "S.A")
    alice.destroy()
    await_state(d, "S", State.Inactive)


def plan():
    return [("sessions", grid, [allocated, updated, disabled])]
