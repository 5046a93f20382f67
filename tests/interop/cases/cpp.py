# SPDX-License-Identifier: Apache-2.0
"""ZeroC's C++ binding (tests/interop/cpp): its session helpers, the router from login to shutdown, a crowded routing table."""

import os
import subprocess

import Ice

from lib.deployment import MOULIN, Deployment
from lib.probe import Server, TargetI
from lib.process import Failure, die_with_parent

CLIENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(MOULIN))), "interop-cpp", "cpp_client")
LIMIT = 90  # seconds a scenario may take; the slowest seen took six


class ByName(Ice.ServantLocator):
    """A target for every name, made when it is first called: clients that share the server share nothing else."""

    def __init__(self):
        self.servants = {}

    def locate(self, current):
        return self.servants.setdefault(current.id.name, TargetI(current.id.name)), None

    def finished(self, current, servant, cookie):
        pass

    def deactivate(self, category):
        pass


def door(flavour, **more):
    d = Deployment(flavour)
    d.extras["server"] = Server(d, threads=8)
    d.extras["server"].adapter.addServantLocator(ByName(), "")
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file(), **more)
    return d


def run(d, r, scenario):
    if not os.access(CLIENT, os.X_OK):
        raise Failure("no executable %s: install libzeroc-ice-dev and zeroc-ice-compilers, then configure and build" % CLIENT)
    argv = [CLIENT, scenario, str(d.ports["router.Client"]), d.router(), d.extras["server"].proxy_text]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=LIMIT, preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired as e:
        raise Failure("%s was not ready after %d s; it said:\n%s" % (" ".join(argv), LIMIT, e.stdout))
    for line in done.stdout.splitlines():
        r.lines.append(r.text(line))
    if done.returncode:
        raise Failure("%s ended with status %d:\n%s" % (" ".join(argv), done.returncode, done.stderr))


def helper(d, r):
    run(d, r, "helper")


def application(d, r):
    run(d, r, "application")


def router(d, r):
    run(d, r, "router")


def attack(d, r):
    run(d, r, "attack")


def shutdown(d, r):
    """The Process facet ends the router, sessions and all."""
    c = d.communicator()
    client = d.router_proxy(c)
    client.createSession("alice", "wonderland")
    admin = d.communicator().stringToProxy("GateAdmin/admin:" + d.endpoint("router.Admin"))
    properties = Ice.PropertiesAdminPrx.uncheckedCast(admin, "Properties")
    for name in ("Glacier2.Client.ACM.Timeout", "Glacier2.Client.ACM.Close", "Glacier2.Client.ACM.Heartbeat",
                 "Glacier2.SessionTimeout", "Ice.Default.Router"):
        r.call(name, properties.getProperty, name)
    r.call("client properties", lambda: sorted(properties.getPropertiesForPrefix("Glacier2.Client.")))
    Ice.ProcessPrx.uncheckedCast(admin, "Process").shutdown()
    r.value("exit status", d.daemons["router"].await_exit())
    r.kind("session", client.refreshSession)


def plan():
    yield "helpers", door, [helper, application]
    yield "router", door, [router]
    yield "attack", lambda f: door(f, Glacier2__RoutingTable__MaxSize="10"), [attack]
    yield "admin", with_admin, [shutdown]


def with_admin(flavour):
    d = Deployment(flavour)
    d.start_router(registries=(), Glacier2__SessionTimeout="20", Glacier2__Client__ACM__Timeout=None,
                   Ice__Admin__Endpoints=d.endpoint("router.Admin"), Ice__Admin__InstanceName="GateAdmin")
    return d
