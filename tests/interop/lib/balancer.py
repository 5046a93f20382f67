# SPDX-License-Identifier: Apache-2.0
"""What stands in front of a router: a forwarder that sends any bytes first, PROXY headers, and HAProxy itself."""

import os
import socket
import struct
import threading

from .process import Daemon, free_port, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, destination):
    """Both as (address, port)."""
    kind = "TCP6" if ":" in source[0] else "TCP4"
    return ("PROXY %s %s %s %d %d\r\n" % (kind, source[0], destination[0], source[1], destination[1])).encode()


def v2(source, destination, extensions=b"", command=1):
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    body = (socket.inet_pton(family, source[0]) + socket.inet_pton(family, destination[0]) +
            struct.pack(">HH", source[1], destination[1]) + extensions)
    return SIGNATURE + bytes([0x20 | command, 0x21 if ":" in source[0] else 0x11]) + struct.pack(">H", len(body)) + body


def _pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def join(a, b):
    """What one socket says goes to the other, until one of them ends."""
    for pair in ((a, b), (b, a)):
        threading.Thread(target=_pump, args=pair, daemon=True).start()


class Forwarder:
    """Listens, and gives every connection to 127.0.0.1:to with `header` before its bytes, `step` bytes at a time."""

    def __init__(self, to, header, step=None):
        self.to, self.header, self.step = to, header, step or len(header) or 1
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(self.header), self.step):
                server.sendall(self.header[at:at + self.step])
            join(client, server)

    def close(self):
        self.listener.close()


def haproxy(d, to, option):
    """Starts HAProxy in front of 127.0.0.1:to with a server option ("send-proxy-v2"); returns its port."""
    port = free_port()
    config = d.path("haproxy-%s.cfg" % option)
    with open(config, "w") as f:
        f.write("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
                "listen ice\n  bind 127.0.0.1:%d\n  server gate 127.0.0.1:%d %s\n" % (port, to, option))
    program = "/usr/sbin/haproxy" if os.path.exists("/usr/sbin/haproxy") else "haproxy"
    daemon = Daemon("haproxy-" + option, [program, "-db", "-f", config], d.directory)
    d.daemons["haproxy-" + option] = daemon

    def accepts():
        if not daemon.alive():
            raise RuntimeError("haproxy ended: " + daemon.stderr())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(accepts, "haproxy listening")
    return port
