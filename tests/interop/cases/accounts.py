# SPDX-License-Identifier: Apache-2.0
"""User accounts and their mapper, on master and slave; password files with every kind of hash and of line."""

import subprocess

import Ice
import IceGrid

from lib import descriptors as dd
from lib.deployment import Deployment
from lib.process import wait_until

Ice.loadSlice("-I%s %s/IceGrid/UserAccountMapper.ice" % (Ice.getSliceDir(), Ice.getSliceDir()))

ACCOUNTS = """# accounts of the system, then users
nobody alice smith
  daemon\t bob\t
nobody CN=client,OU=Ice,O=Spec\\, Inc.  # the rest is a comment
games carol
news carol
lonely

root#dave
www-data   spaces   inside  
"""
USERS = ("alice smith", "alice", "bob", "CN=client,OU=Ice,O=Spec\\, Inc.", "carol", "lonely", "dave", "", "nobody", "#",
         "spaces   inside", "spaces inside", "x" * 300)


def accounted(flavour):
    d = Deployment(flavour)
    with open(d.path("accounts"), "w") as f:
        f.write(ACCOUNTS)
    d.start_registry(IceGrid__Registry__UserAccounts=d.path("accounts"))
    d.start_registry("Replica1", IceGrid__Registry__UserAccounts=d.path("accounts"))
    session, admin = d.admin(d.communicator())
    wait_until(lambda: "Replica1" in admin.getAllRegistryNames(), "the slave's session")
    return d


def mapper(d, c, replica):
    name = "RegistryUserAccountMapper" + ("" if replica == "Master" else "-" + replica)
    return IceGrid.UserAccountMapperPrx.uncheckedCast(
        c.stringToProxy("Demo/%s:%s" % (name, d.endpoint(replica + ".Internal"))))


def accounts(d, r):
    c = d.communicator()
    for replica in ("Master", "Replica1"):
        m = mapper(d, c, replica)
        r.call(replica + ": ids", m.ice_ids)
        for user in USERS:
            r.call("%s: %r" % (replica, user[:40]), m.getUserAccount, user)


def read_once(d, r):
    """A file that changes is not read again."""
    with open(d.path("accounts"), "w") as f:
        f.write("games alice smith\n")
    r.call("as it was", mapper(d, d.communicator(), "Master").getUserAccount, "alice smith")


def well_known(d, r):
    c = d.communicator()
    for replica in ("Master", "Replica1"):
        query = d.query(c, replica)
        for name in ("RegistryUserAccountMapper", "RegistryUserAccountMapper-Replica1", "RegistryUserAccountMapper-Master"):
            r.call("%s: %s" % (replica, name), query.findObjectById, Ice.Identity(name, "Demo"))
        r.value("%s: by type" % replica, sorted(str(p.ice_getIdentity().name) for p in query.findAllObjectsByType(
            "::IceGrid::UserAccountMapper")))
    elsewhere = c.stringToProxy("Demo/RegistryUserAccountMapper:" + d.endpoint("Master.Client"))
    r.call("not on the client endpoints", elsewhere.ice_ping)


def without(d, r):
    c = d.communicator()
    r.call("not there", mapper(d, c, "Master").ice_ping)
    r.call("nor known", d.query(c).findObjectById, Ice.Identity("RegistryUserAccountMapper", "Demo"))


def none(flavour):
    d = Deployment(flavour)
    d.start_registry()
    return d


# ---- password files

def hashed(kind, password):
    return subprocess.run(["openssl", "passwd", kind, "-salt", "moulinsalt", password], stdout=subprocess.PIPE,
                          check=True, text=True).stdout.strip()


def guarded(flavour):
    d = Deployment(flavour)
    with open(d.path("clients"), "w") as f:
        f.write("sha512 %s\nsha256 %s\n\n  md5   %s \n" % (
            hashed("-6", "six"), hashed("-5", "five"), hashed("-1", "one")))
        f.write("last %s" % hashed("-6", "last"))
    with open(d.path("admins"), "w") as f:
        f.write("root %s\n" % hashed("-6", "toor"))
    d.start_registry(IceGrid__Registry__PermissionsVerifier=None, IceGrid__Registry__AdminPermissionsVerifier=None,
                     IceGrid__Registry__CryptPasswords=d.path("clients"),
                     IceGrid__Registry__AdminCryptPasswords=d.path("admins"))
    return d


def passwords(d, r):
    registry = d.registry_proxy(d.communicator())
    for user, password in (("sha512", "six"), ("sha512", "five"), ("sha256", "five"), ("md5", "one"), ("md5", "two"),
                           ("last", "last"), ("nobody", "x"), ("root", "toor"), ("", ""),
                           ("sha512", ""), ("sha512", "x" * 2000)):
        r.call("client %s %r" % (user, password[:20]), registry.createSession, user, password)
        r.call("admin %s %r" % (user, password[:20]), registry.createAdminSession, user, password)
    r.call("root", registry.createAdminSession, "root", "toor")


def lists(d, r):
    """Objects that exist only with a mapper are told to object observers and administrators like all others."""
    session, admin = d.admin(d.communicator())
    for name in ("RegistryUserAccountMapper", "RegistryUserAccountMapper-Replica1"):
        r.call(name, admin.getObjectInfo, Ice.Identity(name, "Demo"))
    r.call("cannot be removed", admin.removeObject, Ice.Identity("RegistryUserAccountMapper", "Demo"))
    r.value("still there", dd.identity("Demo/RegistryUserAccountMapper") in
            [i.proxy.ice_getIdentity() for i in admin.getAllObjectInfos("Demo/*")])
    session.destroy()


def plan():
    yield "accounts", accounted, [accounts, well_known, lists, read_once]
    yield "none", none, [without]
    yield "passwords", guarded, [passwords]
