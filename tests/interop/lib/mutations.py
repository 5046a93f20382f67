# SPDX-License-Identifier: Apache-2.0
"""Every small change of a definition: one string replaced, one class emptied, one item doubled or dropped. Whoever looks
at a value of the definition is so asked about it."""

import copy

from .bindings import Ice, IceGrid

D = IceGrid


def _parts(value):
    """(key, part) of what a descriptor is made of."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, (str, bool, int, float)) or value is None or isinstance(value, Ice.EnumBase):
        return []
    return [(k, v) for k, v in sorted(vars(value).items()) if not k.startswith("_")]


def places(value, path=()):
    """Paths of all parts, the whole first."""
    yield path
    for key, part in _parts(value):
        yield from places(part, path + (key,))


def at(value, path):
    for key in path:
        value = value[key] if isinstance(value, (list, dict)) else getattr(value, key)
    return value


def changed(definition, path, new):
    """A copy of the definition with another part there."""
    result = copy.deepcopy(definition)
    parent = at(result, path[:-1])
    if isinstance(parent, (list, dict)):
        parent[path[-1]] = new
    else:
        setattr(parent, path[-1], new)
    return result


def label(path):
    return ".".join(str(p) for p in path)


def strings(definition, replacements):
    """(label, definition) with each string replaced by each replacement."""
    for path in places(definition):
        if path and isinstance(at(definition, path), str):
            for new in replacements:
                yield "%s = '%s'" % (label(path), new), changed(definition, path, new)


def shapes(definition):
    """(label, definition): booleans turned, classes null, items of sequences and dictionaries doubled, dropped, turned
    around or renamed."""
    for path in places(definition):
        value = at(definition, path)
        name = label(path)
        if isinstance(value, bool):
            yield name + " turned", changed(definition, path, not value)
        elif isinstance(value, Ice.Value):
            yield name + " null", changed(definition, path, None)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                yield "%s.%d dropped" % (name, i), changed(definition, path, value[:i] + value[i + 1:])
                yield "%s.%d doubled" % (name, i), changed(definition, path, value + [copy.deepcopy(item)])
            if len(value) > 1:
                yield name + " turned around", changed(definition, path, value[::-1])
        elif isinstance(value, dict):
            for key in sorted(value):
                rest = {k: v for k, v in value.items() if k != key}
                yield "%s.%s dropped" % (name, key), changed(definition, path, rest)
                for new in ("", "node.os", "other"):
                    yield "%s.%s renamed '%s'" % (name, key, new), changed(definition, path, dict(rest, **{new: value[key]}))
