# SPDX-License-Identifier: Apache-2.0
"""The main road over every transport, encoding and compression: 4 x 2 x 2 variants of cases from the other scripts."""

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.probe import Server

from . import allocation, brokered, forwarding, login, lookup

TRANSPORTS = ("tcp", "ssl", "ws", "wss")
ENCODINGS = ("1.1", "1.0")
COMPRESSION = ("", "-compressed")


def variant(flavour, transport, encoding, compressed):
    d = Deployment(flavour, transport)
    d.client_settings["Ice.Default.EncodingVersion"] = encoding
    if compressed:
        d.client_settings["Ice.Override.Compress"] = "1"
        d.client_settings["Ice.Compression.Level"] = "9"
        d.daemon_settings["Ice.Override.Compress"] = "1"
    return d


def door(flavour, *how):
    """A router with a password file and a server behind it."""
    d = variant(flavour, *how)
    d.extras["server"] = Server(d)
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__CryptPasswords=d.password_file())
    return d


def grid(flavour, *how):
    """A registry with content, and a router that brokers sessions to it."""
    d = variant(flavour, *how)
    d.start_registry()
    members = [dd.server("S%d" % n, [dd.adapter("A", "S%d.A" % n, group="Replicated", objects=[
        dd.obj("hello%d" % n, lookup.HELLO)])]) for n in range(2)]
    brokered.deploy(d, dd.pool("Pool", 2),
                    dd.application("One", {"n": dd.node(dd.server("One", [dd.adapter("A", "One.A", allocatables=[
                        dd.obj("one", "::Test::One")])]))}),
                    dd.application("Hello", {"n": dd.node(*members)}, [dd.group("Replicated", objects=[
                        dd.obj("hello", lookup.HELLO), dd.obj("other", "::Test::Other")])]))
    d.start_router(Glacier2__SessionManager="Demo/SessionManager", Glacier2__SSLSessionManager="Demo/SSLSessionManager")
    return d


def plan():
    for transport in TRANSPORTS:
        for encoding in ENCODINGS:
            for suffix in COMPRESSION:
                how = (transport, encoding, bool(suffix))
                name = "%s-%s%s" % (transport, encoding, suffix)
                yield name, lambda f, h=how: door(f, *h), [
                    login.right_and_wrong, login.before_login, forwarding.values, forwarding.exceptions,
                    forwarding.facets, forwarding.order, forwarding.callbacks, forwarding.callback_after_loss]
                yield name, lambda f, h=how: grid(f, *h), [
                    lookup.locate_objects, lookup.locate_adapters, lookup.query_types, lookup.replicas,
                    allocation.contention, allocation.timeouts, allocation.client_loss,
                    brokered.client_session]
