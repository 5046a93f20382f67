# SPDX-License-Identifier: Apache-2.0
"""The protocol by hand, for what a binding does not let a test do: requests as bytes, and what comes back for them."""

import select
import socket
import struct

HEADER = struct.Struct("<4sBBBBBBi")
REQUEST, BATCH, REPLY, VALIDATE, CLOSE = range(5)


def message(kind, body, compression=0):
    return HEADER.pack(b"IceP", 1, 0, 1, 0, kind, compression, 14 + len(body)) + body


def size(n):
    return bytes([n]) if n < 255 else b"\xff" + struct.pack("<i", n)


def string(text):
    data = text.encode()
    return size(len(data)) + data


def encapsulation(body=b"", encoding=(1, 1)):
    return struct.pack("<i", 6 + len(body)) + bytes(encoding) + body


def request_body(identity, operation, body=b"", mode=0, facet=None, encoding=(1, 1)):
    """What follows the request id; identity is "category/name" or "name"."""
    category, _, name = identity.rpartition("/")
    return (string(name) + string(category) + (b"\0" if facet is None else b"\1" + string(facet)) + string(operation)
            + bytes([mode]) + b"\0" + encapsulation(body, encoding))


def request(number, *arguments, **keywords):
    return message(REQUEST, struct.pack("<i", number) + request_body(*arguments, **keywords))


def batch(*bodies):
    return message(BATCH, struct.pack("<i", len(bodies)) + b"".join(bodies))


def reply(number, body=b"", status=0):
    return message(REPLY, struct.pack("<i", number) + bytes([status]) + encapsulation(body))


class Peer:
    """One end of a connection. read() gives (type, compression, body), None at its end."""

    def __init__(self, sock, timeout=30):
        self.socket = sock
        self.socket.settimeout(timeout)
        self.waiting = b""

    @classmethod
    def connect(cls, port):
        peer = cls(socket.create_connection(("127.0.0.1", port), 30))
        first = peer.read()
        if first is None or first[0] != VALIDATE:
            raise AssertionError("no validation message but %r" % (first,))
        return peer

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def _take(self, n):
        while len(self.waiting) < n:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self.waiting += piece
        taken, self.waiting = self.waiting[:n], self.waiting[n:]
        return taken

    def read(self):
        header = self._take(14)
        if header is None:
            return None
        fields = HEADER.unpack(header)
        body = self._take(fields[7] - 14)
        return None if body is None else (fields[5], fields[6], body)

    def read_but_heartbeats(self):
        while True:
            got = self.read()
            if got is None or got[0] != VALIDATE:
                return got

    def quiet(self, seconds):
        """Nothing comes for so long."""
        return not self.waiting and not select.select([self.socket], [], [], seconds)[0]

    def close(self):
        self.socket.close()


def request_of(body):
    """(id, identity, operation) of a request's body as a server reads it; strings under 255 bytes, which tests send."""
    number, at = struct.unpack_from("<i", body)[0], 4

    def text():
        nonlocal at
        n = body[at]
        at += 1 + n
        return body[at - n:at].decode()
    name, category = text(), text()
    at += 1 if body[at] == 0 else 2 + body[at + 1]
    return number, (category + "/" if category else "") + name, text()
