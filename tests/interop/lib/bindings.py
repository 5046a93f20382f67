# SPDX-License-Identifier: Apache-2.0
"""Import Ice's python modules safely: import this before Glacier2.

python3-zeroc-ice 3.7.8 replaces Glacier2.SessionNotExistException by a helper class of the same name, which frees the
class the extension still points to; the first reply with that exception then crashes the interpreter. Keeping a
reference to every exception class as it is defined avoids it.
"""

import IcePy

_classes = []
_define = IcePy.defineException


def _define_and_keep(type_id, cls, *rest):
    _classes.append(cls)
    return _define(type_id, cls, *rest)


IcePy.defineException = _define_and_keep

import Glacier2  # noqa: E402,F401
import Ice  # noqa: E402,F401
import IceGrid  # noqa: E402,F401
