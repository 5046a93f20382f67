# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: one alone, and a deployment whose replicas and nodes live in namespaces of their own, so that any
direction between any two of them can be cut. Packets of a cut direction leave for a hardware address that nobody has: they
vanish on the wire, without any answer.

Needs the right to make namespaces: where there is none, the tests fail and say so.
"""

import concurrent.futures
import ctypes
import os
import subprocess

from .deployment import Deployment
from .process import Failure

CLONE_NEWNET = 0x40000000
NOWHERE = "02:00:00:00:00:99"
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*arguments):
    done = subprocess.run(["ip"] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failure("this machine does not let us make network namespaces, which this test needs: ip %s: %s"
                      % (" ".join(arguments), done.stdout.strip()))


def _enter(name):
    """This thread, and those it starts from now on, live in the namespace."""
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            raise Failure("cannot enter a network namespace: %s" % os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)


class Space:
    """A namespace with an interface of its own, "here", that has the IPv6 address HERE and loops datagrams to groups back."""

    HERE = "fd00:7::1"

    def __init__(self, name):
        self.name = "moulin%d-%s" % (os.getpid(), name)
        self.prefix = ("ip", "netns", "exec", self.name)
        _ip("netns", "add", self.name)
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "link", "add", "here", "type", "veth", "peer", "name", "there")
            for end in ("here", "there"):
                _ip("-n", self.name, "link", "set", end, "up")
            _ip("-n", self.name, "addr", "add", self.HERE + "/64", "dev", "here", "nodad")
        except Failure:
            self.close()
            raise

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL)

    def run(self, work):
        """work() in a thread that lives there; its result."""
        with concurrent.futures.ThreadPoolExecutor(1) as inside:
            inside.submit(_enter, self.name).result()
            return inside.submit(work).result()


class Network(Deployment):
    """Use it from a thread of its own: that thread moves into the clients' namespace."""

    def __init__(self, flavour, *members):
        super().__init__(flavour)
        self.prefix = "moulin%d-" % os.getpid()
        self.hosts = {name: "10.99.0.%d" % n for n, name in enumerate(members + ("client",), 1)}
        self.made = []
        try:
            self._make()
        except Failure:
            self.close()
            raise

    def _space(self, name):
        return self.prefix + name

    def _make(self):
        for name in list(self.hosts) + ["hub"]:
            _ip("netns", "add", self._space(name))
            self.made.append(self._space(name))
        hub = self._space("hub")
        _ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", hub, "link", "set", "bridge", "up")
        for n, (name, host) in enumerate(self.hosts.items()):
            space, port = self._space(name), "port%d" % n
            _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", hub, "link", "set", port, "master", "bridge", "up")
            _ip("-n", space, "addr", "add", host + "/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        _enter(self._space("client"))

    def close(self):
        super().close()
        for space in self.made:
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL)
        self.made = []

    def command(self, member):
        """What a command is run with there."""
        return ("ip", "netns", "exec", self._space(member))

    def endpoint(self, name):
        return "%s -h %s -p %d" % (self.transport, self.hosts[name.split(".")[0]], self.port(name))

    def launch(self, replica, flavour=None, **more):
        names = [n for n in self.hosts if n != "client"]
        more.setdefault("Ice__Default__Locator", self.locator(*names))
        return self.start_registry(replica, flavour=flavour, prefix=self.command(replica),
                                   Ice__Default__Host=self.hosts[replica], **more)

    def launch_node(self, name, *registries, **more):
        return self.start_node(name, registries, prefix=("ip", "netns", "exec", self._space(name)),
                               Ice__Default__Host=self.hosts[name], **more)

    def cut(self, source, target):
        """From now on nothing that `source` sends reaches `target`; the other direction is as it was."""
        _ip("-n", self._space(source), "neigh", "replace", self.hosts[target], "lladdr", NOWHERE, "dev", "eth0", "nud",
            "permanent")

    def heal(self, source, target):
        _ip("-n", self._space(source), "neigh", "del", self.hosts[target], "dev", "eth0")
