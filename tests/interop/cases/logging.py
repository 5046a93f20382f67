# SPDX-License-Identifier: Apache-2.0
"""Where messages go: a file that is moved away when it is full, and the system's log."""

import os
import re
import socket

from lib.deployment import Deployment
from lib.syslog import SystemLog, start_with_own_dev

MOVED = re.compile(r"log-\d{8}-\d{6}(-\d+)?\.txt")


def empty(flavour):
    return Deployment(flavour)


def poke(d):
    """A connection leaves some lines behind."""
    host, port = "127.0.0.1", d.port("Master.Client")
    with socket.create_connection((host, port)) as s:
        s.recv(1)
        s.sendall(b"no Ice message at all")
        try:
            while s.recv(100):
                pass
        except ConnectionResetError:
            pass


def full_file(d, r):
    limit = 700
    d.start_registry(Ice__LogFile=d.path("log.txt"), Ice__LogFile__SizeMax=str(limit), Ice__Trace__Network="1")
    moved = lambda: [name for name in os.listdir(d.directory) if MOVED.fullmatch(name)]  # noqa: E731
    for _ in range(100):
        if len(moved()) > 6:
            break
        poke(d)
    r.value("moved", len(moved()) > 6)
    r.value("status", d.daemons["Master"].stop())
    sizes = [os.path.getsize(d.path(name)) for name in moved() + ["log.txt"]]
    r.value("within the limit", max(sizes) < limit)
    whole = "".join(open(d.path(name)).read() for name in moved() + ["log.txt"])
    r.value("nothing is lost", (whole.count("accepting tcp connections"), whole.count("stopping to accept"),
                                whole.count("accepted tcp") == whole.count("closed tcp")))
    r.value("stderr", d.daemons["Master"].stderr())


def appended(d, r):
    """What was there before stays, and counts."""
    with open(d.path("log.txt"), "w") as f:
        f.write("x" * 400 + "\n")
    d.start_registry(Ice__LogFile=d.path("log.txt"), Ice__LogFile__SizeMax="450", Ice__Trace__Network="1")
    d.daemons["Master"].stop()
    old = [name for name in os.listdir(d.directory) if MOVED.fullmatch(name) and os.path.getsize(d.path(name)) == 401]
    r.value("moved first", len(old))


def system_log(d, r):
    known = ("listening", "published", "accept", "closed", "stopping")
    for label, settings in (("plain", {}), ("facility", {"Ice__SyslogFacility": "LOG_LOCAL3", "Ice__ProgramName": "prog"})):
        log = SystemLog(d.path("syslog"))
        daemon = start_with_own_dev(d, **settings)
        poke(d)
        r.value(label + ": status", daemon.stop())
        log.close()
        form = re.compile(r"<\d+>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \w+\[%d\]: " % daemon.pid)
        r.value(label + ": form", all(form.match(line) for line in log.lines))
        said = [re.sub(r">.{16}", ">", re.sub(r"(:|-p )\d{4,5}\b|\[\d+\]", "", line.split("\nremote")[0]))
                for line in log.lines if any(word in line for word in known)]
        for line in sorted(said):
            r.value(label, line)
        r.value(label + ": stderr", daemon.stderr())


def refused(d, r):
    """Settings that contradict each other, a facility that is none."""
    for label, settings in (("both", {"Ice__LogFile": d.path("both.txt")}), ("facility", {"Ice__SyslogFacility": "LOG_NONE"})):
        daemon = d.start("Master", "registry", d.registry_properties(Ice__UseSyslog="1", **settings), None)
        r.value(label, daemon.await_exit())
        text = {"both": "Both syslog and file logger cannot be enabled", "facility": "Invalid value for Ice.SyslogFacility: LOG_NONE"}
        r.value(label + ": said", text[label] in daemon.stderr())
    r.value("no file", not os.path.exists(d.path("both.txt")))


def plan():
    yield "file", empty, [full_file, appended]
    yield "system", empty, [system_log, refused]
