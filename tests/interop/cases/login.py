# SPDX-License-Identifier: Apache-2.0
"""The door: password file, null and remote verifiers, certificates; right, wrong, twice, and before login."""

import Glacier2
import Ice

from lib import certificates as pki
from lib.deployment import Deployment
from lib.process import wait_until


class VerifierI(Glacier2.PermissionsVerifier):
    """alice enters; every other name shows one way of saying no."""

    def __init__(self):
        self.contexts = []

    def checkPermissions(self, user, password, current):
        self.contexts.append({k: v for k, v in current.ctx.items()})
        if user == "denied":
            raise Glacier2.PermissionDeniedException("denied by name")
        if user == "broken":
            raise ValueError("no answer at all")
        if user == "silent":
            return False, ""
        if password != "wonderland":
            return False, "wrong password for " + user
        return True, ""


class SSLVerifierI(Glacier2.SSLPermissionsVerifier):
    def __init__(self):
        self.seen = []

    def authorize(self, info, current):
        self.seen.append(info)
        return (False, "no certificate") if not info.certs else (True, "")


def passwords(flavour, transport="tcp"):
    d = Deployment(flavour, transport)
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None, Glacier2__SSLPermissionsVerifier=None,
                   Glacier2__CryptPasswords=d.password_file())
    return d


def remote(flavour):
    d = Deployment(flavour)
    c = d.communicator()
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    d.extras["verifier"] = VerifierI()
    adapter.add(d.extras["verifier"], Ice.stringToIdentity("verifier"))
    adapter.activate()
    d.start_router(registries=(), Glacier2__PermissionsVerifier="verifier:" + d.endpoint("verifier"))
    return d


def certificates(flavour):
    d = Deployment(flavour, "ssl")
    c = d.communicator(who="server")
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    d.extras["verifier"] = SSLVerifierI()
    adapter.add(d.extras["verifier"], Ice.stringToIdentity("verifier"))
    adapter.activate()
    d.start_router(registries=(), Glacier2__SSLPermissionsVerifier="verifier:" + d.endpoint("verifier"))
    return d


def contexts(flavour, transport):
    d = Deployment(flavour, transport)
    c = d.communicator(who="server")
    adapter = c.createObjectAdapterWithEndpoints("Verifier", d.endpoint("verifier"))
    d.extras["verifier"] = VerifierI()
    adapter.add(d.extras["verifier"], Ice.stringToIdentity("verifier"))
    adapter.activate()
    d.start_router(registries=(), Glacier2__PermissionsVerifier="verifier:" + d.endpoint("verifier"),
                   Glacier2__AddConnectionContext="2")
    return d


def without_verifier(flavour):
    d = Deployment(flavour, "ssl")
    d.start_router(registries=(), Glacier2__PermissionsVerifier=None)
    return d


# ---- cases

def right_and_wrong(d, r):
    router = d.router_proxy(d.communicator())
    r.call("wrong password", router.createSession, "alice", "builder")
    r.call("unknown user", router.createSession, "mallory", "wonderland")
    r.call("empty user", router.createSession, "", "")
    r.call("empty password", router.createSession, "alice", "")
    r.call("right", router.createSession, "alice", "wonderland")
    r.call("second session on the connection", router.createSession, "alice", "wonderland")
    r.call("second session, wrong password", router.createSession, "alice", "x")
    r.call("refresh", router.refreshSession)
    r.call("destroy", router.destroySession)
    r.call("refresh after destroy", router.refreshSession)
    r.call("destroy after destroy", router.destroySession)
    r.call("again on the same connection", router.createSession, "bob", "builder")
    r.call("destroy again", router.destroySession)


def two_clients(d, r):
    one, two = d.router_proxy(d.communicator()), d.router_proxy(d.communicator())
    r.call("alice", one.createSession, "alice", "wonderland")
    r.call("bob", two.createSession, "bob", "builder")
    tokens = [one.getCategoryForClient(), two.getCategoryForClient()]
    r.value("different tokens", tokens[0] != tokens[1])
    r.value("token lengths", [len(t) for t in tokens])
    r.value("token repeats", one.getCategoryForClient() == tokens[0])
    r.value("printable tokens", all(33 <= ord(c) <= 126 for t in tokens for c in t))
    r.call("alice leaves", one.destroySession)
    r.call("bob stays", two.refreshSession)


def before_login(d, r):
    def fresh():
        return d.router_proxy(d.communicator())
    r.call("timeout", fresh().getSessionTimeout)
    r.call("ACM timeout", fresh().getACMTimeout)
    r.call("refresh", fresh().refreshSession)
    r.call("destroy", fresh().destroySession)
    r.call("ping", fresh().ice_ping)
    r.call("ids", fresh().ice_ids)
    r.call("id", fresh().ice_id)
    r.call("isA", fresh().ice_isA, "::Glacier2::Router")
    r.call("is not", fresh().ice_isA, "::Glacier2::Session")
    r.kind("client proxy", fresh().getClientProxy)
    r.kind("server proxy", fresh().getServerProxy)
    r.kind("add proxies", fresh().addProxies, [])
    r.kind("category", fresh().getCategoryForClient)
    c = d.communicator()
    other = c.stringToProxy("someone:" + d.endpoint("router.Client"))
    r.kind("another identity", other.ice_ping)
    facet = fresh().ice_facet("zz")
    r.kind("a facet of the router", facet.ice_ping)
    unknown = d.communicator().stringToProxy(d.router())
    r.call("an operation it has not", unknown.ice_invoke, "nonsense", Ice.OperationMode.Normal, b"\x06\0\0\0\1\1")


def finder(d, r):
    c = d.communicator()
    prx = Ice.RouterFinderPrx.uncheckedCast(c.stringToProxy("Ice/RouterFinder:" + d.endpoint("router.Client")))
    r.call("router", prx.getRouter)
    r.call("ids", prx.ice_ids)
    r.call("checked", lambda: Ice.RouterFinderPrx.checkedCast(prx) is not None)


def proxies_after_login(d, r):
    router = d.router_proxy(d.communicator())
    router.createSession("alice", "wonderland")
    r.call("client proxy", router.getClientProxy)
    server = router.getServerProxy()
    r.value("server proxy name", server.ice_getIdentity().name)
    r.value("its category is the token", server.ice_getIdentity().category == router.getCategoryForClient())
    r.value("server endpoints", [str(e) for e in server.ice_getEndpoints()])
    r.call("nothing added", router.addProxies, [])


def connection_stays(d, r):
    c = d.communicator()
    router = d.router_proxy(c)
    closed = []
    router.ice_getConnection().setCloseCallback(lambda connection: closed.append(1))
    router.createSession("alice", "wonderland")
    router.destroySession()
    r.call("answers on", router.getSessionTimeout)
    r.value("still open", not closed)
    r.kind("routed operation", router.getServerProxy)
    wait_until(lambda: closed, "the router closing the connection")
    r.value("closed then", True)


def remote_verifier(d, r):
    router = d.router_proxy(d.communicator())
    for user, password in (("denied", "x"), ("broken", "x"), ("silent", "x"), ("alice", "x")):
        r.call(user, router.createSession, user, password)
    d.extras["verifier"].contexts.clear()
    r.call("right", router.createSession, "alice", "wonderland", {"colour": "blue", "_con.type": "fake"})
    r.value("context at the verifier", d.extras["verifier"].contexts)


def certificate_session(d, r):
    router = d.router_proxy(d.communicator("alice"))
    r.call("with a certificate", router.createSessionFromSecureConnection)
    r.call("twice", router.createSessionFromSecureConnection)
    info = d.extras["verifier"].seen[-1]
    r.value("addresses", [info.remoteHost, info.localHost])
    r.value("certificates", [(c.splitlines()[0], c.splitlines()[-1], c[-1]) for c in info.certs])
    r.value("leaf", info.certs[0].split() == open(d.path("certs", "alice.pem")).read().split())
    r.value("cipher known", bool(info.cipher))
    r.value("local port", info.localPort == d.ports["router.Client"])
    r.call("destroy", router.destroySession)
    r.call("password session over ssl", router.createSession, "anyone", "x")


def certificate_chain(d, r):
    """What stands in SSLInfo.certs, in which order, when the client sends an intermediate CA."""
    pki.make_chain(d.path("certs"))

    def name(pem):
        with open(d.path("certs", "carol.pem")) as f:
            carol = f.read()
        bare = "".join(pem.split())
        named = {"leaf": carol.split("-----END CERTIFICATE-----")[0]}
        for ca in ("middle", "ca"):
            with open(d.path("certs", ca + ".pem")) as f:
                named[ca] = f.read()
        return [n for n, text in named.items() if bare.startswith("".join(text.split()))]

    router = d.router_proxy(d.communicator("carol"))
    r.call("with a chain", router.createSessionFromSecureConnection)
    info = d.extras["verifier"].seen[-1]
    r.value("chain", [name(c) for c in info.certs])
    connection = router.ice_getConnection().getInfo()
    r.value("ports", [info.remotePort == connection.underlying.localPort, info.localPort == d.ports["router.Client"]])
    r.value("cipher", info.cipher == connection.cipher)
    r.call("destroy", router.destroySession)


def connection_context(d, r):
    """The _con.* keys at the verifier, over every transport."""
    router = d.router_proxy(d.communicator("alice"))
    router.createSession("alice", "wonderland", {"colour": "blue", "_con.remoteAddress": "192.0.2.1"})
    context = dict(d.extras["verifier"].contexts[-1])
    info = router.ice_getConnection().getInfo()
    while not isinstance(info, Ice.IPConnectionInfo):
        info = info.underlying
    r.value("ports", [context.pop("_con.localPort") == str(d.ports["router.Client"]),
                      context.pop("_con.remotePort") == str(info.localPort)])
    cipher, certificate = context.pop("_con.cipher", ""), context.pop("_con.peerCert", "")
    if d.transport != "wss":  # theirs has neither there
        r.value("cipher", bool(cipher))
    if certificate and d.transport != "wss":
        with open(d.path("certs", "alice.pem")) as f:
            r.value("certificate", certificate.split() == f.read().split())
    r.value("the others", context)


def no_verifier(d, r):
    router = d.router_proxy(d.communicator("alice"))
    r.call("password", router.createSession, "alice", "wonderland")
    r.call("certificate", router.createSessionFromSecureConnection)


def not_secure(d, r):
    router = d.router_proxy(d.communicator())
    r.call("certificate", router.createSessionFromSecureConnection)


def plan():
    common = [right_and_wrong, two_clients, before_login, finder, proxies_after_login, connection_stays, not_secure]
    for transport in ("tcp", "ssl", "ws", "wss"):
        yield "passwords-" + transport, lambda f, t=transport: passwords(f, t), common
    yield "remote", remote, [remote_verifier, not_secure]
    yield "certificates", certificates, [certificate_session, certificate_chain]
    for transport in ("tcp", "ssl", "ws", "wss"):
        yield "contexts-" + transport, lambda f, t=transport: contexts(f, t), [connection_context]
    yield "without", without_verifier, [no_verifier]
