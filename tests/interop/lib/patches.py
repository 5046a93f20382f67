# SPDX-License-Identifier: Apache-2.0
"""An IcePatch2 file server for deployments: as much of one as nodes need, over a directory prepared by icepatch2calc."""

import os
import subprocess
import threading

import Ice
import IcePatch2


class Store(IcePatch2.FileServer):
    """Files are listed by the first byte of their checksum. While `gate` is not set, no content is given out."""

    def __init__(self, directory):
        self.directory = directory
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.fill({})

    def fill(self, files):
        for name, content in files.items():
            path = os.path.join(self.directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(content)
        os.makedirs(self.directory, exist_ok=True)
        subprocess.run(["icepatch2calc", "-z", self.directory], check=True, stdout=subprocess.DEVNULL)
        self.partitions = [[] for _ in range(256)]
        with open(os.path.join(self.directory, "IcePatch2.sum")) as f:
            for line in f:
                path, checksum, size, executable = line.rstrip("\n").split("\t")
                checksum = bytes.fromhex(checksum)
                self.partitions[checksum[0]].append(IcePatch2.LargeFileInfo(path, checksum, int(size), executable == "1"))
        self.serial = getattr(self, "serial", 0) + 1

    def getLargeFileInfoSeq(self, partition, current=None):
        return self.partitions[partition]

    def getChecksumSeq(self, current=None):
        """Known to no client, so that all partitions are asked for."""
        return [bytes([n]) * 20 for n in range(256)]

    def getChecksum(self, current=None):
        return bytes([self.serial]) * 20

    def getLargeFileCompressed(self, path, pos, num, current=None):
        self.asked.set()
        self.gate.wait(60)
        with open(os.path.join(self.directory, path + ".bz2"), "rb") as f:
            f.seek(pos)
            return f.read(num)


def serve(d, store, port="patch"):
    """The store as Patch/server on that port; its proxy as text."""
    c = d.communicator(Ice__ThreadPool__Server__Size="8")
    adapter = c.createObjectAdapterWithEndpoints("Patch", d.endpoint(port))
    adapter.add(store, Ice.Identity("server", "Patch"))
    adapter.activate()
    return "Patch/server:" + d.endpoint(port)
