# SPDX-License-Identifier: Apache-2.0
"""Unmodified icegridadmin, direct and through the gateway: what it prints against ours is what it prints against ZeroC's."""

import os
import re
import subprocess

from lib import descriptors as dd  # noqa: F401  (loads Ice before anything else does)
from lib.deployment import DATA, Deployment
from lib.process import PATIENCE

import Ice

APPS = os.path.join(DATA, "apps")


class Tool:
    """icegridadmin with the options that lead it to the deployment."""

    def __init__(self, d, r, gateway=False, replica=None, user="admin", password="x"):
        self.d = d
        self.r = r
        where = "--Ice.Default.Router=" + d.router() if gateway else "--Ice.Default.Locator=" + d.locator()
        self.argv = ["icegridadmin", where, "-u", user, "-p", password]
        if replica:
            self.argv += ["-r", replica]
        for key, value in d.tls_properties("alice").items():
            self.argv.append("--%s=%s" % (key, value))

    def run(self, *commands, options=()):
        argv = self.argv + list(options)
        for command in commands:
            argv += ["-e", command]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd=APPS, timeout=PATIENCE)
        label = "; ".join(commands) or "(nothing)"
        self.r.lines.append("$ %s: exit status %d" % (label, done.returncode))
        for stream in (done.stdout, done.stderr):
            lines = ["    " + clean(line) for line in self.r.text(stream).splitlines()]
            # The order of a group's members after an update has no meaning: ZeroC's own slaves answer in another one.
            self.r.lines += sorted(lines) if label.startswith("adapter endpoints") else lines


def clean(line):
    """Times of icegridadmin's own format; addresses of this machine."""
    line = re.sub(r"(created = |updated = |last updated = |creation time = ).*", r"\1<time>", line)
    return line.replace(os.uname().nodename, "<host>")


def grid(flavour, transport="tcp"):
    d = Deployment(flavour, transport)
    d.start_registry()
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    return d


def replicated(flavour):
    d = Deployment(flavour)
    d.start_registry()
    d.start_registry("Replica1")
    return d


def guarded(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__AdminPermissionsVerifier=None,
                     IceGrid__Registry__AdminCryptPasswords=d.password_file())
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager", Glacier2__PermissionsVerifier=None,
                   Glacier2__CryptPasswords=d.password_file())
    return d


# ---- what every way in must print

def applications(tool):
    tool.run("application list")
    for name in ("hello", "templates", "icebox"):
        tool.run("application add %s.xml" % name)
    tool.run("application add hello.xml")
    tool.run("application add broken.xml")
    tool.run("application add nowhere.xml")
    tool.run("application list")
    for name in ("Hello", "Templates", "Boxes", "Nobody"):
        tool.run("application describe " + name)
    tool.run("application diff hello.xml")
    tool.run("application diff hello-changed.xml")
    tool.run("application diff -s hello-changed.xml")
    tool.run("application update -n hello-changed.xml")
    tool.run("application update hello-changed.xml")
    tool.run("application describe Hello")
    tool.run("application diff hello-changed.xml")
    tool.run("application add -n hello.xml")
    tool.run("application update broken.xml")
    tool.run("application patch Hello")
    tool.run("server template describe Templates Worker")
    tool.run("service template describe Boxes Echo")
    tool.run("server template instantiate Templates alpha Worker index=7")
    tool.run("application list; server list", "node list")


def servers(tool):
    tool.run("server list")
    for server in ("Hello-1", "Worker-2", "Box", "nobody"):
        for command in ("describe", "state", "pid", "enable", "start", "stop"):
            tool.run("server %s %s" % (command, server))
    tool.run("service list Box")
    tool.run("service describe Box Two")
    tool.run("server remove Hello-3")
    tool.run("server remove nobody")
    tool.run("server list")


def adapters(tool):
    tool.run("adapter list")
    for adapter in ("Hello-1.A", "HelloGroup", "Random", "nobody"):
        tool.run("adapter endpoints " + adapter)
        tool.run("adapter remove " + adapter)


def dynamic_adapters(d, tool):
    c = d.communicator()
    registry = Ice.LocatorRegistryPrx.uncheckedCast(c.stringToProxy("Demo/LocatorRegistry:" + d.endpoint("Master.Server")))
    for n in range(2):
        registry.setReplicatedAdapterDirectProxy("Dyn%d" % n, "DynGroup", c.stringToProxy(
            "dummy:%s -h 127.0.0.1 -p %d" % (d.transport, 9000 + n)))
    tool.run("adapter list")
    for adapter in ("Dyn0", "DynGroup"):
        tool.run("adapter endpoints " + adapter)
    for adapter in ("DynGroup", "Dyn0", "Dyn0", "Dyn1"):
        tool.run("adapter remove " + adapter)
    tool.run("adapter list")


def objects(tool):
    tool.run("object list")
    tool.run('object add "extra:tcp -h 127.0.0.1 -p 9999" ::Test::Extra')
    tool.run('object add "extra:tcp -h 127.0.0.1 -p 9999" ::Test::Extra')
    tool.run('object add "cat/with space @ HelloGroup" ::Test::Extra')
    tool.run('object add "cat/other @ HelloGroup" ::Test::Extra')
    tool.run('object add "unreachable:tcp -h 127.0.0.1 -p 1"')
    tool.run('object add "Demo/mine:tcp -h 127.0.0.1 -p 9999" ::T')
    tool.run('object add "hello-1 @ HelloGroup" ::T')
    tool.run("object find ::Test::Extra")
    tool.run("object find ::Test::Hello")
    tool.run("object find ::Test::Nothing")
    for expr in ("", " extra", " cat/*", " hello*", " nobody", " Demo/*"):
        tool.run("object list" + expr)
        tool.run("object describe" + expr)
    for name in ("extra", "extra", "cat/other", "hello-1", "Demo/Query"):
        tool.run("object remove " + name)


def nodes_and_registries(tool):
    tool.run("node list")
    for command in ("ping", "describe", "load", "sockets", "shutdown"):
        tool.run("node %s node1" % command)
        tool.run("node %s nobody" % command)
    tool.run("registry list")
    for command in ("ping", "describe"):
        tool.run("registry %s Master" % command)
        tool.run("registry %s nobody" % command)
    tool.run("registry shutdown nobody")


def removal(tool):
    for name in ("Hello", "Templates", "Boxes", "Nobody"):
        tool.run("application remove " + name)
    tool.run("application list; server list; adapter list; node list")


def story(d, r, gateway):
    tool = Tool(d, r, gateway)
    applications(tool)
    servers(tool)
    adapters(tool)
    dynamic_adapters(d, tool)
    objects(tool)
    nodes_and_registries(tool)
    removal(tool)


# ---- cases

def direct(d, r):
    story(d, r, gateway=False)


def through_gateway(d, r):
    story(d, r, gateway=True)


def filtered(flavour):
    """The registry tells the router what an administrator may reach."""
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__AdminSessionFilters="1")
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    return d


def quick_direct(d, r):
    tool = Tool(d, r)
    tool.run("application add hello.xml; application list; server list; adapter list; object find ::Test::Hello")
    tool.run("registry list; node list; application remove Hello")


def quick_gateway(d, r):
    tool = Tool(d, r, gateway=True)
    tool.run("application add hello.xml; application list; server list; adapter list; object find ::Test::Hello")
    tool.run("registry list; node list; application remove Hello")


def locked(d, r):
    session, admin = d.admin(d.communicator(), user="somebody")
    session.startUpdate()
    tool = Tool(d, r)
    tool.run("application add hello.xml")
    tool.run("application remove Hello")
    tool.run("application list")
    session.destroy()


def wrong_syntax(d, r):
    tool = Tool(d, r)
    tool.run("nonsense")
    tool.run("application")
    tool.run("application add")
    tool.run("server state")
    tool.run("object add 'no proxy:'")


def passwords(d, r):
    for gateway in (False, True):
        for user, password in (("alice", "wonderland"), ("alice", "x"), ("mallory", "x")):
            Tool(d, r, gateway, user=user, password=password).run("registry list")


def replicas(d, r):
    master, slave = Tool(d, r), Tool(d, r, replica="Replica1")
    master.run("registry list")
    master.run("registry ping Replica1")
    master.run("application add hello.xml")
    slave.run("application list")
    slave.run("application describe Hello")
    slave.run("registry list")
    slave.run("object find ::Test::Hello")
    slave.run("application remove Hello")
    slave.run("application add templates.xml")
    slave.run("object add 'x @ y' ::T")
    slave.run("server state Hello-1")
    Tool(d, r, replica="Nobody").run("registry list")
    master.run("application remove Hello")
    slave.run("application list")


def plan():
    yield "direct", grid, [direct, locked, wrong_syntax]
    yield "gateway", grid, [through_gateway]
    yield "filtered gateway", filtered, [quick_gateway]
    for transport in ("ssl", "ws", "wss"):
        yield transport, lambda f, t=transport: grid(f, t), [quick_direct, quick_gateway]
    yield "passwords", guarded, [passwords]
    yield "replicas", replicated, [replicas]
