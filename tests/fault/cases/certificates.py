# SPDX-License-Identifier: Apache-2.0
"""X.509 at the gateway's door: revocation, certificates that are mapped to users, and all of it read again on SIGHUP."""

import os
import shutil
import socket
import ssl

from lib import certificates
from lib.bindings import Glacier2, Ice
from lib.process import wait_until
from lib.revocation import RevocationList

from . import check
from .bad_start import gateway_properties, refuses

ALICE = "emailAddress=alice@example.org,CN=alice,OU=Ice,O=Test Org,ST=Florida,C=US"
REVOKING = {"IceSSL__RevocationCheck": "1", "IceSSL__CertificateRevocationListFiles": "revoked.pem"}


class ManagerI(Glacier2.SSLSessionManager):
    def __init__(self):
        self.infos = []

    def create(self, info, control, current):
        self.infos.append(info)
        self.categories = control.categories().get() if control else []
        return None


class SSLVerifierI(Glacier2.SSLPermissionsVerifier):
    def __init__(self):
        self.asked = 0

    def authorize(self, info, current):
        self.asked += 1
        return self.asked < 2, "not a second time"


def start(d, **more):
    return d.start_router(registries=(), **more)


def enter(d, who="alice"):
    """A certificate session; the communicator stays, so that the session does."""
    router = d.router_proxy(d.communicator(who))
    router.createSessionFromSecureConnection()
    return router


def refused(d, who="alice"):
    """Is the connection itself refused?"""
    try:
        d.router_proxy(d.communicator(who)).ice_ping()
        return False
    except (Ice.ConnectionLostException, Ice.SecurityException, Ice.ProtocolException, Ice.SocketException):
        return True


def denied(d, who="alice"):
    """The reason for which the session is refused."""
    try:
        enter(d, who)
    except Glacier2.PermissionDeniedException as e:
        return e.reason
    raise AssertionError("%s got in" % who)


def reload(daemon, says="the configuration was reloaded"):
    before = daemon.stderr().count(says)
    daemon.signal(1)
    wait_until(lambda: daemon.stderr().count(says) > before,
               lambda: "`%s' after SIGHUP; it said:\n%s" % (says, daemon.stderr()))


def edit(d, before, after):
    with open(d.path("router.cfg")) as f:
        text = f.read()
    check(before in text, before)
    with open(d.path("router.cfg"), "w") as f:
        f.write(text.replace(before, after))


# ---- revocation

def tls12(d, who, session=None):
    """One connection as a TLS 1.2 client, whose handshake ends with the server's verdict: (was resumed, session). The
    client takes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(d.path("certs", who + ".pem"), d.path("certs", who + ".key"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context = d.extras.setdefault("context", context)  # a session belongs to its context
    with socket.create_connection(("127.0.0.1", d.port("router.Client"))) as s:
        with context.wrap_socket(s, session=session) as t:
            return t.session_reused, t.session


def revocation(d):
    """Who is revoked gets no new connection, resumed or not; the session that is there stays."""
    crl = RevocationList(d.path("certs"))
    daemon = start(d, **REVOKING)
    alice, bob = enter(d), enter(d, "bob")
    _, ticket = tls12(d, "alice")
    check(tls12(d, "alice", ticket)[0], "sessions are not resumed: this test shows nothing")
    crl.revoke("alice")
    check(not refused(d), "revoked before the reload")
    reload(daemon)
    check(refused(d), "a revoked certificate is taken")
    try:
        reused, _ = tls12(d, "alice", ticket)
        raise AssertionError("a revoked certificate came in, resumed: %s" % reused)
    except ssl.SSLError as e:
        check("REVOKED" in str(e).upper(), str(e))
    check(not refused(d, "bob"), "bob is refused, too")
    check("certificate is revoked" in daemon.stderr(), daemon.stderr())
    alice.refreshSession()
    bob.refreshSession()


def expired_list(d):
    """An expired list shuts everybody out and says so; a fresh one opens the door again."""
    crl = RevocationList(d.path("certs"))
    crl.write(expired=True)
    daemon = start(d, **REVOKING)
    check(refused(d), "an expired list is taken")
    wait_until(lambda: "revocation list of the peer's issuer has expired" in daemon.stderr(), "the line about the list")
    check("IceSSL.CertificateRevocationListFiles" in daemon.stderr(), daemon.stderr())
    crl.write()
    reload(daemon)
    enter(d)


def unusable_lists(d):
    """No list, rubbish and a certificate stop the start; at a reload they change nothing."""
    for name, text in (("missing.pem", None), ("rubbish.pem", "not a list\n"),
                       ("cert.pem", open(d.path("certs", "alice.pem")).read())):
        if text:
            with open(d.path("certs", name), "w") as f:
                f.write(text)
        refuses(d, name, "gateway", gateway_properties(
            d, IceSSL__RevocationCheck="1", IceSSL__CertificateRevocationListFiles=name),
            "IceSSL.CertificateRevocationListFiles", name)
    refuses(d, "none", "gateway", gateway_properties(d, IceSSL__RevocationCheck="1"),
            "IceSSL.CertificateRevocationListFiles")
    RevocationList(d.path("certs"))
    daemon = start(d, **REVOKING)
    alice = enter(d)
    with open(d.path("certs", "revoked.pem"), "w") as f:
        f.write("not a list\n")
    reload(daemon, "the configuration was not reloaded")
    check(len([x for x in daemon.stderr().splitlines() if "not reloaded" in x]) == 1, daemon.stderr())
    alice.refreshSession()
    enter(d)


# ---- reload

def leaf(d):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", d.port("router.Client"))) as s:
        with context.wrap_socket(s) as t:
            return ssl.DER_cert_to_PEM_cert(t.getpeercert(True)).split()


def read(d, name):
    return open(d.path("certs", name)).read().split()


def new_certificate(d):
    """New certificate, key and CAs of the server: new connections see them, a bad key changes nothing."""
    daemon = start(d)
    alice = enter(d)
    tls12(d, "alice")
    check(leaf(d) == read(d, "server.pem"), "another certificate")
    certificates.make(d.path("fresh"))
    old = d.path("certs")
    shutil.copy(d.path("certs", "bob.key"), d.path("certs", "server.key"))
    reload(daemon, "the configuration was not reloaded")
    check("IceSSL.KeyFile" in daemon.stderr(), daemon.stderr())
    check(leaf(d) == read(d, "server.pem"), "a bad key changed something")
    edit(d, "IceSSL.DefaultDir=" + old, "IceSSL.DefaultDir=" + d.path("fresh"))
    reload(daemon)
    check(leaf(d) == open(d.path("fresh", "server.pem")).read().split(), "the old certificate is served")
    try:
        tls12(d, "alice")
        raise AssertionError("a client of the old CA gets in")
    except ssl.SSLError as e:
        check("UNKNOWN_CA" in str(e).upper(), str(e))
    alice.refreshSession()
    for name in os.listdir(d.path("fresh")):
        shutil.copy(d.path("fresh", name), old)
    enter(d)


def trust_rules(d):
    """IceSSL.TrustOnly, .Server and .Server.Glacier2.Client change; a malformed one changes nothing."""
    daemon = start(d, IceSSL__TrustOnly__Server__Glacier2__Client="CN=alice")
    alice = enter(d)
    check(refused(d, "bob"), "bob is not trusted")
    edit(d, "Glacier2.Client=CN=alice", "Glacier2.Client=CN=bob")
    reload(daemon)
    check(refused(d) and not refused(d, "bob"), "the rule of the adapter did not change")
    edit(d, "Glacier2.Client=CN=bob", "Glacier2.Client=CN=\"bob")
    reload(daemon, "the configuration was not reloaded")
    check(refused(d) and not refused(d, "bob"), "a malformed rule changed something")
    edit(d, "IceSSL.TrustOnly.Server.Glacier2.Client=CN=\"bob", "IceSSL.TrustOnly.Server=CN=alice")
    reload(daemon)
    check(not refused(d) and refused(d, "bob"), "the rule of all adapters did not change")
    edit(d, "IceSSL.TrustOnly.Server=CN=alice", "IceSSL.TrustOnly=!CN=alice")
    reload(daemon)
    check(refused(d) and not refused(d, "bob"), "the rule of all connections did not change")
    alice.refreshSession()


# ---- users

def users(d, *lines):
    with open(d.path("users"), "w") as f:
        f.write("# certificates and their users\n" + "".join(line + "\n" for line in lines))
    return d.path("users")


def serve(d, **servants):
    adapter = d.communicator("server").createObjectAdapterWithEndpoints("Services", d.endpoint("services"))
    for name, servant in servants.items():
        d.extras[name] = servant
        adapter.add(servant, Ice.stringToIdentity(name))
    adapter.activate()


def mapped_users(d):
    """The map alone lets certificates in; its names are those of logs and filters, SSLInfo is as ever."""
    serve(d, manager=ManagerI())
    daemon = start(d, Glacier2__SSLPermissionsVerifier=None, Glacier2__PermissionsVerifier=None,
                   Glacier2__SSLSessionManager="manager:" + d.endpoint("services"), Glacier2__Trace__Session="1",
                   Glacier2__Filter__Category__AcceptUser="1",
                   Moulin__Gateway__CertificateUsers=users(d, 'subject "%s" wonderland' % ALICE))
    alice = enter(d)
    manager = d.extras["manager"]
    check(manager.categories == ["wonderland"], "the user's category: %s" % manager.categories)
    check(manager.infos[0].certs[0].split() == read(d, "alice.pem"), "SSLInfo has another certificate")
    check("wonderland" in daemon.stderr() and "CN=alice" not in daemon.stderr(), daemon.stderr())
    check(denied(d, "bob") == "no user for this certificate", "bob")
    users(d, "cn bob builder")
    reload(daemon)
    enter(d, "bob")
    check(manager.categories == ["builder"], "the new user's category: %s" % manager.categories)
    check(denied(d) == "no user for this certificate", "alice, who is no longer there")
    alice.refreshSession()
    users(d, "cn bob builder", "cn bob again")
    reload(daemon, "the configuration was not reloaded")
    check("/users:3:4: line 2 has this name" in daemon.stderr(), daemon.stderr())
    enter(d, "bob")
    edit(d, "Moulin.Gateway.CertificateUsers=" + d.path("users"), "")
    reload(daemon)
    check(denied(d, "bob") == "no configured ssl permissions verifier", "the map is gone")


def map_and_verifier(d):
    """With both, the map is asked first, then the verifier."""
    serve(d, verifier=SSLVerifierI())
    start(d, Glacier2__SSLPermissionsVerifier="verifier:" + d.endpoint("services"),
          Moulin__Gateway__CertificateUsers=users(d, "cn bob builder"))
    check(denied(d) == "no user for this certificate", "alice")
    check(d.extras["verifier"].asked == 0, "the verifier was asked about nobody")
    enter(d, "bob")
    check(denied(d, "bob") == "not a second time", "the verifier was not asked")


def without_certificate(d):
    """A client without a certificate is nobody, with and without a map."""
    daemon = start(d, Moulin__Gateway__CertificateUsers=users(d, "cn bob builder"))

    def reason():
        c = d.communicator(IceSSL__CertFile="", IceSSL__KeyFile="")
        try:
            d.router_proxy(c).createSessionFromSecureConnection()
        except Glacier2.PermissionDeniedException as e:
            return e.reason
        raise AssertionError("got in")

    check(reason() == "no user for this certificate", reason())
    edit(d, "Moulin.Gateway.CertificateUsers=" + d.path("users"), "")
    reload(daemon)
    check(reason() == "empty user DN", reason())


def unusable_maps(d):
    for name, line, words in (("map", "cn alice", "users:2:9: expected the user"), ("kind", "dn x y", "users:2:1:")):
        refuses(d, name, "gateway", gateway_properties(d, Moulin__Gateway__CertificateUsers=users(d, line)),
                "Moulin.Gateway.CertificateUsers", words)
    refuses(d, "none", "gateway", gateway_properties(d, Moulin__Gateway__CertificateUsers="/nowhere/users"),
            "Moulin.Gateway.CertificateUsers", "/nowhere/users")
    refuses(d, "balancers", "gateway", gateway_properties(d, Moulin__Gateway__ProxyProtocol="10.0.0.0/33"),
            "Moulin.Gateway.ProxyProtocol", "10.0.0.0/33", "balancers.cfg:")


CASES = [revocation, expired_list, unusable_lists, new_certificate, trust_rules, mapped_users, map_and_verifier,
         without_certificate, unusable_maps]
for case in CASES:
    case.transport = ("ssl",)
