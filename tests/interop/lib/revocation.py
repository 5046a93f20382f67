# SPDX-License-Identifier: Apache-2.0
"""Revocation lists of a deployment's CA, made by `openssl ca`."""

import os
import time

from .certificates import _openssl

CONFIG = """[ca]
default_ca = test
[test]
database = index.txt
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_crl_days = 30
"""


class RevocationList:
    def __init__(self, directory, name="revoked.pem"):
        self.directory, self.name = directory, name
        with open(os.path.join(directory, "crl.cfg"), "w") as f:
            f.write(CONFIG)
        open(os.path.join(directory, "index.txt"), "w").close()
        self.write()

    def revoke(self, who):
        _openssl(self.directory, "ca", "-config", "crl.cfg", "-revoke", who + ".pem")
        self.write()

    def write(self, expired=False):
        arguments = []
        if expired:
            stamp = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - ago)) for ago in (7200, 3600)]
            arguments = ["-crl_lastupdate", stamp[0], "-crl_nextupdate", stamp[1]]
        _openssl(self.directory, "ca", "-config", "crl.cfg", "-gencrl", "-out", self.name, *arguments)
