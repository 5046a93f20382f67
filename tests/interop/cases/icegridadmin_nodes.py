# SPDX-License-Identifier: Apache-2.0
"""Every command of unmodified icegridadmin where servers really run: two nodes of ZeroC's, a third that is away, an IceBox,
templates, files, a log that is followed; at the master, at a slave and through the router. What it prints is compared."""

import getpass
import os
import re
import signal
import subprocess

import IceGrid

from lib.deployment import DATA, Deployment, MOULIN
from lib.process import PATIENCE, wait_until

from .icegridadmin import Tool, clean

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(MOULIN))), "interop-cpp")
State = IceGrid.ServerState


class Terminal(Tool):
    """As Tool, where process ids and loads of the machine are only there or not there."""

    def run(self, *commands, options=()):
        first = len(self.r.lines)
        super().run(*commands, options=options)
        self.r.lines[first:] = [steady(line.replace(self.d.directory, "<directory>")) for line in self.r.lines[first:]]

    def each(self, *commands):
        for command in commands:
            self.run(command)


def steady(line):
    line = re.sub(r"pid = [1-9]\d*", "pid = <pid>", line)
    line = re.sub(r"^    [1-9]\d{2,}$", "    <pid>", line)
    return re.sub(r"(\(1/5/15\)): .*", r"\1: <load>", line)


def application(d):
    """grid.xml with this deployment's paths."""
    with open(os.path.join(DATA, "apps", "grid.xml")) as f:
        text = f.read()
    for key, value in (("directory", d.directory), ("programs", PROGRAMS), ("user", getpass.getuser()),
                       ("patch", str(d.port("patch")))):
        text = text.replace("@%s@" % key, value)
    path = d.path("grid.xml")
    with open(path, "w") as f:
        f.write(text)
    return path


def grid(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    d.start_registry("Slave", IceGrid__Registry__NodeSessionTimeout="10")
    both = ("Master", "Slave")
    d.start_node("node1", both, ready=False, Ice__StdOut=d.path("node1.stdout"), IceGrid__Node__Trace__Activator="1",
                 Ice__StdErr=d.path("node1.stderr"))
    d.start_node("node2", both)
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    d.extras["session"], d.extras["admin"] = d.admin(d.communicator())
    d.extras["slave"], admin = d.admin(d.communicator(), "Slave")
    for a in (d.extras["admin"], admin):
        d.await_node(a, "node1")
        d.await_node(a, "node2")
    wait_until(lambda: "Slave" in d.extras["admin"].getAllRegistryNames(), "the slave")
    application(d)
    return d


# ---- help

CATEGORIES = {
    "application": ("add", "remove", "describe", "diff", "update", "patch", "list"),
    "node": ("list", "describe", "ping", "load", "sockets", "processors", "show", "shutdown"),
    "registry": ("list", "describe", "ping", "show", "shutdown"),
    "server": ("list", "remove", "describe", "properties", "property", "state", "pid", "start", "stop", "patch", "signal", "stdout",
               "stderr", "show", "enable", "disable"),
    "server template": ("instantiate", "describe"), "service template": ("describe",),
    "service": ("start", "stop", "list", "describe", "properties", "property"),
    "adapter": ("list", "endpoints", "remove"), "object": ("add", "remove", "find", "describe", "list"),
}


def helps(d, r):
    Terminal(d, r).run("help", *[c + " help" for c in CATEGORIES],
                       *["%s %s help" % (c, o) for c, operations in CATEGORIES.items() for o in operations])


def wrong_arguments(d, r):
    """None, too many, and names of nothing: for every command."""
    tool = Terminal(d, r)
    for category, operations in CATEGORIES.items():
        for operation in operations:
            command = "%s %s" % (category, operation)
            if (category, operation) in (("registry", "shutdown"),):
                tool.run(command + " a b c")
            else:
                tool.run(command, command + " nobody", command + " nobody nothing", command + " a b c d e")


# ---- the application

def applications(d, r):
    tool, path = Terminal(d, r), d.path("grid.xml")
    tool.run("application add -n %s" % path)
    tool.run("application list", "application describe Grid", "application diff %s" % path)
    tool.run("server template describe Grid Worker", "service template describe Grid Probe")
    tool.each("server template describe Grid Nobody", "service template describe Grid Nobody", "server template describe X Worker")
    tool.run("server list", "adapter list", "object list", "node list", "registry list")
    for server in ("Plain", "Box", "Worker-1", "Worker-2", "Patched", "Away"):
        tool.run("server describe " + server)


# ---- servers

def servers(d, r):
    tool = Terminal(d, r)
    for server in ("Plain", "Worker-2", "Box", "Away", "nobody"):
        tool.each(*["server %s %s" % (c, server) for c in (
            "state", "pid", "start", "state", "pid", "start", "disable", "state", "enable", "properties", "property", "stop", "state",
            "stop")])
    tool.run("server start Plain", "server state Plain", "server property Plain Ice.Admin.ServerId", "server properties Plain",
             "server property Plain Nope")
    tool.run("adapter endpoints Plain.A", "adapter endpoints Workers", "adapter endpoints Away.A")
    tool.each("server signal Plain SIGNOTHING", "server signal Plain 99", "server signal Away SIGTERM", "server signal nobody SIGTERM")
    for deadly in ("SIGHUP", "SIGKILL"):
        tool.run("server start Plain", "server signal Plain " + deadly)
        wait_until(lambda: d.extras["admin"].getServerState("Plain") == State.Inactive, "the end of Plain")
        tool.run("server state Plain", "server signal Plain SIGTERM")


def messages(d, r):
    tool = Terminal(d, r)
    tool.each("server stdout Plain hello", "server stderr Away hello", "server stdout nobody hello")
    tool.run("server start Plain", "server stdout Plain 'hello out'", "server stderr Plain 'hello err'")
    with open(d.path("plain.log"), "w") as f:
        f.write("".join("line %d\n" % n for n in range(30)))
    tool.each("server show Plain stdout", "server show Plain stderr", "server show Plain %s" % d.path("plain.log"),
              "server show -t 2 Plain %s" % d.path("plain.log"), "server show -h 2 Plain %s" % d.path("plain.log"),
              "server show Plain /etc/passwd", "server show Plain log", "server show -t 1 Plain log", "server show Worker-1 stdout",
              "server show Away stdout", "server show Away log", "server show nobody log", "server show nobody stdout",
              "server show Plain", "server show -t x Plain stdout", "server show -h 1 -t 1 Plain stdout")
    tool.run("server stop Plain")
    tool.each("server show Plain log", "server show Plain stdout", "server properties Plain")


# ---- services

def services(d, r):
    tool = Terminal(d, r)
    tool.run("service list Box", "service describe Box One", "service describe Box Shared")
    tool.each("service list Plain", "service describe Box Nobody", "service start Box One", "service properties Box One",
              "service list Away", "service start Plain One", "service list nobody")
    tool.run("server start Box", "server state Box")
    tool.each("service start Box One", "service stop Box One", "service stop Box One", "service properties Box One",
              "service start Box One", "service stop Box Nobody", "service start Box Nobody", "service properties Box One",
              "service property Box One Colour", "service property Box Two Nope", "service properties Box Shared",
              "service property Box Shared Colour", "service properties Box Nobody", "adapter endpoints Box.One",
              "server properties Box")
    tool.run("server stop Box")


# ---- nodes and registries

def nodes(d, r):
    tool = Terminal(d, r)
    tool.run("node list", "node sockets", "node processors")
    for node in ("node1", "node2", "node3", "nobody"):
        tool.each(*["node %s %s" % (c, node) for c in ("ping", "describe", "load", "sockets", "processors")])
    for arguments in ("node1 stdout", "node1 stderr", "-t 1 node1 stdout", "-h 1 node1 stdout", "node2 stdout", "node3 stdout",
                      "nobody stderr", "node1 nothing", "node1"):
        tool.run("node show " + arguments)
    for node in ("node2", "node3", "nobody"):
        tool.run("node show %s log" % node)
    tool.run("node show -t 2 node1 log")


def registries(d, r):
    tool = Terminal(d, r)
    tool.run("registry list", "registry ping Master", "registry ping Slave", "registry describe Master", "registry describe Slave")
    tool.each("registry ping nobody", "registry describe nobody", "registry show Master stdout", "registry show Slave stderr",
              "registry show nobody stdout", "registry show Master log", "registry show Slave log", "registry show nobody log",
              "registry show Master nothing", "registry shutdown nobody")


def objects(d, r):
    tool = Terminal(d, r)
    tool.run("server start Plain")
    tool.run("object find ::Test::Plain", "object find ::Test::Job", "object find ::Test::Worker", "object describe plain",
             "object describe worker", "object list")
    tool.each("object add 'plain2 @ Plain.A'", "object add 'away @ Away.A'", "object find ::Test::Nothing", "object describe plain2",
              "object remove plain2", "object remove plain", "object remove job-1", "adapter remove Plain.A", "adapter remove Workers")
    tool.run("server stop Plain")


# ---- changes

def changes(d, r):
    tool, path = Terminal(d, r), d.path("grid.xml")
    tool.run("server start Plain", "server template instantiate Grid node2 Worker index=5", "server list", "server state Worker-5")
    tool.each("server template instantiate Grid node2 Worker index=5", "server template instantiate Grid node2 Nobody",
              "server template instantiate Grid node2 Worker", "server template instantiate Grid node2 Worker index=6 x=1")
    tool.run("server remove Worker-5", "server list", "application diff %s" % path)
    with open(path) as f:
        text = f.read()
    changed = d.path("changed.xml")
    for label, old, new in (("property", "of ${name}", "now of ${name}"), ("option", "--Plain.Option=1", "--Plain.Option=2")):
        with open(changed, "w") as f:
            f.write(text.replace(old, new))
        tool.each("application diff %s" % changed, "application diff -s %s" % changed, "application update -n %s" % changed,
                  "application update %s" % changed, "server state Plain", "application diff %s" % changed)
    tool.run("application update %s" % path, "server state Plain")
    tool.each("server remove Away", "server remove Plain", "server list")
    tool.each("application remove Grid", "application list; server list; adapter list", "application add -n %s" % path, "server list")


# ---- by other ways

def short(d, r, **options):
    tool = Terminal(d, r, **options)
    tool.run("node list", "server list", "node ping node1", "node describe node1", "node load node2", "node sockets node1")
    tool.run("server start Plain", "server state Plain", "server property Plain Ice.Admin.ServerId", "server stdout Plain hello")
    tool.each("server show Plain stdout", "server show Plain log", "node show node1 stdout", "node show -t 2 node1 log",
              "server signal Plain SIGNOTHING", "service list Box", "adapter endpoints Plain.A")
    tool.run("server disable Plain", "server state Plain", "server enable Plain", "server stop Plain", "server state Plain")
    tool.run("server start Box", "service stop Box One", "service start Box One", "service property Box One Colour",
             "service property Box Shared Colour", "server stop Box")
    for target in ("server state Away", "server start Away", "server state nobody", "node ping node3", "node load node3",
                   "application patch -f Grid", "server patch -f Away", "server remove Worker-1", "registry list", "registry ping Slave"):
        tool.run(target)


def at_the_slave(d, r):
    short(d, r, replica="Slave")


def through_the_router(d, r):
    tool = Terminal(d, r, gateway=True)
    tool.run("node list", "server list", "node ping node1", "node describe node1", "server start Plain", "server state Plain",
             "server property Plain Ice.Admin.ServerId", "server stdout Plain hello")
    tool.each("server show Plain stdout", "node show node1 stdout", "server show Plain log", "node show -t 2 node1 log",
              "registry show Master log", "server show -f Plain log")
    tool.run("server start Box", "service stop Box One", "service start Box One", "service property Box One Colour",
             "server stop Box", "server stop Plain")


# ---- following

def follow(d, r, command, more, lines):
    """The command until it has printed that many lines; `more` is done when it has told what was there. Then it is interrupted."""
    tool = Terminal(d, r)
    path = d.path("followed")
    with open(path, "w") as out:
        running = subprocess.Popen(tool.argv + ["-e", command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        def text():
            with open(path) as f:
                return f.read().splitlines()
        wait_until(lambda: len(text()) >= 2, "the beginning of " + command)
        more()
        wait_until(lambda: len(text()) >= lines, lambda: "%d lines of %s: %s" % (lines, command, text()))
        running.send_signal(signal.SIGINT)
        status = running.wait(PATIENCE)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    r.lines.append("$ %s: exit status %d" % (r.text(command), status))
    r.lines += [steady("    " + clean(line)) for line in r.text("\n".join(text())).splitlines()]


def followed(d, r):
    admin = d.extras["admin"]

    def start_and_stop():
        admin.startServer("Plain")
        admin.stopServer("Plain")
    start_and_stop()
    follow(d, r, "node show -f -t 1 node1 log", start_and_stop, 4)
    admin.startServer("Plain")
    follow(d, r, "server show -f -t 1 Plain log", lambda: None, 2)  # what it says at its end may be lost with it
    admin.stopServer("Plain")
    log = d.path("plain.log")
    with open(log, "w") as f:
        f.write("one\ntwo\n")

    def write():
        with open(log, "a") as f:
            f.write("three\nfour\n")
    follow(d, r, "server show -f -t 1 Plain %s" % log, write, 4)


# ---- the end

def ends(d, r):
    tool = Terminal(d, r)
    tool.run("node shutdown node2")
    r.value("status", d.daemons["node2"].await_exit())
    wait_until(lambda: not d.extras["admin"].pingNode("node2"), "the end of node2")
    tool.run("node list", "node ping node2")
    tool.each("node describe node2", "node load node2", "server state Worker-2", "server start Worker-2", "server show Worker-2 log",
              "node show node2 log", "node shutdown node2", "node sockets", "adapter endpoints Workers")
    tool.run("registry shutdown Slave")
    r.value("status", d.daemons["Slave"].await_exit())
    wait_until(lambda: "Slave" not in d.extras["admin"].getAllRegistryNames(), "the end of the slave")
    tool.run("registry list")
    tool.each("registry ping Slave", "registry shutdown Slave")
    Terminal(d, r, replica="Slave").run("node list")
    tool.run("registry shutdown")
    r.value("status", d.daemons["Master"].await_exit())
    tool.run("node list")


def plan():
    yield "grid", grid, [helps, wrong_arguments, applications, servers, messages, services, nodes, registries, objects, changes,
                         at_the_slave, through_the_router, followed, ends]
