# SPDX-License-Identifier: Apache-2.0
"""What the unmodified icegridadmin prints about nodes and servers that run, direct and through the gateway."""

import re

from lib import descriptors as dd
from lib.deployment import Deployment

from .icegridadmin import Tool

VARYING = (re.compile(r"^(\s+)\d+$"), re.compile(r"(pid = )\d+"), re.compile(r"-p \d+"), re.compile(r"(load average \(1/5/15\):).*"))


def grid(flavour):
    d = Deployment(flavour)
    d.start_registry(IceGrid__Registry__NodeSessionTimeout="10")
    d.start_router(Glacier2__SessionManager="Demo/AdminSessionManager")
    d.start_node()
    admin = d.extras["admin"] = d.admin(d.communicator())[1]
    d.await_node(admin)
    admin.addApplication(dd.application("App", {
        "node1": dd.node(dd.process("Manual", "manual", properties=[("P", "1")]), dd.process("OnDemand"),
                         dd.process("Exits", "manual", options=["--exit=3"])),
        "node2": dd.node(dd.process("Away"))}))
    return d


def run(tool, *commands):
    """Each by itself; pids, ports and loads are not compared."""
    for command in commands:
        begin = len(tool.r.lines)
        tool.run(command)
        for i in range(begin, len(tool.r.lines)):
            line = tool.r.lines[i]
            for pattern in VARYING:
                line = pattern.sub(lambda m: (m.group(1) if m.groups() else "") + "<varies>", line)
            tool.r.lines[i] = line


def story(tool):
    run(tool, "server list", "server state Manual", "server start Manual", "server state Manual", "server pid Manual",
        "server start Manual", "adapter endpoints Manual.A", "server properties Manual P", "server properties Manual none",
        "server disable Manual", "server state Manual", "server stop Manual", "server state Manual", "server pid Manual",
        "server stop Manual", "server start Manual", "server enable Manual", "server state Manual",
        "adapter endpoints Manual.A", "server properties Manual P", "server signal Manual SIGHUP",
        "server signal Manual NOTHING", "server start Exits", "server describe Manual", "server describe Away",
        "server state Away", "server start Away", "server stop Away", "server enable Away", "server state nobody",
        "server start nobody", "server patch Manual", "application patch App", "application patch nothing",
        "node list", "node ping node1", "node ping node2", "node ping nowhere", "node load node1", "node load node2",
        "node sockets node1", "node sockets node2", "node describe node1", "node describe node2", "node describe nowhere",
        "node shutdown node2", "node shutdown nowhere")


def direct(d, r):
    story(Tool(d, r))


def through_gateway(d, r):
    story(Tool(d, r, gateway=True))


def end(d, r):
    tool = Tool(d, r)
    run(tool, "server remove Manual", "server list", "server start OnDemand", "node shutdown node1")
    d.daemons["node1"].await_exit()
    run(tool, "node ping node1", "node list", "server state OnDemand", "application remove App", "server list")


def plan():
    return [("nodes", grid, [direct, through_gateway, end])]
