# SPDX-License-Identifier: Apache-2.0
"""Recording: what a client saw, in a form that is equal for two servers exactly when they behaved equally.

Kept: values, exception types and members, the order of things. Replaced: uuids, times, port numbers (by the role the
port has in the deployment), source positions inside local exception texts, session tokens.
"""

import enum
import re

from .bindings import Ice

_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_SOURCE = re.compile(r"(?m)^\s*(?:[^\s:]*/)?[\w.+-]+\.(?:cpp|h|c|py):\d+: ")
_PORT = re.compile(r"-p (\d+)")
_HOSTPORT = re.compile(r"127\.0\.0\.1:(\d+)")
_TIME = re.compile(r"\d\d(?:\d\d)?[-/]\d\d[-/]\d\d(?:\d\d)? \d\d:\d\d:\d\d(?:[:.]\d{3})?")
_TIMES = ("createTime", "updateTime", "timestamp")


class Recorder:
    def __init__(self, deployment):
        self.deployment = deployment
        self.lines = []

    # ---- recording

    def value(self, label, value):
        self.lines.append("%s: %s" % (label, self.show(value)))
        return value

    def call(self, label, operation, *arguments, **keywords):
        """Call it and record the result, or the exception that came instead; returns whichever it was."""
        try:
            result = operation(*arguments, **keywords)
        except Ice.Exception as e:
            self.lines.append("%s raised %s" % (label, self.show_exception(e)))
            return e
        self.lines.append("%s -> %s" % (label, self.show(result)))
        return result

    def kind(self, label, operation, *arguments, **keywords):
        """As call(), but of an exception only the type: for texts that come from the client's own runtime."""
        try:
            result = operation(*arguments, **keywords)
        except Ice.Exception as e:
            self.lines.append("%s raised %s" % (label, e.ice_id()))
            return e
        self.lines.append("%s -> %s" % (label, self.show(result)))
        return result

    # ---- normal forms

    def text(self, text):
        names = {str(port): name for name, port in self.deployment.ports.items()}
        text = _SOURCE.sub("", text)
        text = _UUID.sub("<uuid>", text)
        text = _TIME.sub("<time>", text)

        def port(number):  # those below 15000 are written in the scripts and mean something
            return "<%s>" % names[number] if number in names else number if int(number) < 15000 else "<port>"
        text = _PORT.sub(lambda m: "-p " + port(m.group(1)), text)
        text = _HOSTPORT.sub(lambda m: "127.0.0.1:" + port(m.group(1)), text)
        return text.replace(self.deployment.directory, "<directory>")

    def show_exception(self, e):
        return "%s%s" % (e.ice_id(), self._members(e))

    def show(self, value, depth=0):
        if depth > 40:
            return "..."
        if value is Ice.Unset:
            return "unset"
        if value is None or isinstance(value, (bool, int)):
            return repr(value)
        if isinstance(value, float):
            return "%.6g" % value
        if isinstance(value, bytes):
            return "bytes[%d]%s" % (len(value), value[:16].hex())
        if isinstance(value, str):
            return repr(self.text(value))
        if isinstance(value, Ice.ObjectPrx):
            return "<%s>" % self.text(value.ice_toString())
        if isinstance(value, (list, tuple)):
            return "[%s]" % ", ".join(self.show(v, depth + 1) for v in value)
        if isinstance(value, dict):
            items = sorted(((self.show(k, depth + 1), self.show(v, depth + 1)) for k, v in value.items()))
            return "{%s}" % ", ".join("%s: %s" % i for i in items)
        if isinstance(value, (Ice.EnumBase, enum.Enum)):
            return str(value)
        if isinstance(value, Ice.Exception):
            return self.show_exception(value)
        return type(value).__name__ + self._members(value, depth)

    def _members(self, value, depth=0):
        members = []
        for name, member in sorted(vars(value).items()):
            if name.startswith("_"):
                continue
            shown = "<time>" if name in _TIMES and member else self.show(member, depth + 1)
            members.append("%s=%s" % (name, shown))
        return "{%s}" % ", ".join(members)
