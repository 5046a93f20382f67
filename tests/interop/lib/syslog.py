# SPDX-License-Identifier: Apache-2.0
"""The system's log: in a mount namespace of a daemon's own, where /dev/log leads to a socket of the test's."""

import os
import socket
import threading

OWN_DEV = """set -e
at=$1
shift
mkdir -p "$at/dev"
mount --make-rprivate /
mount --rbind /dev "$at/dev"
mount -t tmpfs tmpfs /dev
for n in null zero full random urandom; do touch /dev/$n; mount --bind "$at/dev/$n" /dev/$n; done
mkdir /dev/shm
ln -s "$at/syslog" /dev/log
exec "$@"
"""


class SystemLog:
    """The socket of the log's daemon. Somebody must read: ZeroC's registry waits when a few messages are unread."""

    def __init__(self, path):
        self.lines = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path = path
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            line = self.socket.recv(65536).decode()
            if line == "end":
                return
            self.lines.append(line)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self.path)
        self.reader.join()
        self.socket.close()
        os.unlink(self.path)


def start_with_own_dev(d, **settings):
    properties = d.registry_properties(Ice__UseSyslog="1", Ice__Trace__Network="1", **settings)
    return d.start("Master", "registry", properties, "IceGrid.Registry.AdminSessionManager ready",
                   prefix=["unshare", "-m", "sh", "-c", OWN_DEV, "sh", d.directory])
