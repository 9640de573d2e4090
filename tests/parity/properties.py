"""What the tests of all families share: which names need a row, and how a config comes back."""

import inspect
import json


def public(module):
    """Return the public classes and functions of a module, by name."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
    found = {name: getattr(module, name) for name in names}
    return {name: thing for name, thing in found.items()
            if callable(thing) and not inspect.ismodule(thing)}  # fmt: skip


def without_row(module, tested):
    """Return the public names of a module whose classes and functions are not among `tested`."""
    tested = {id(thing) for thing in tested}
    return {name for name, thing in public(module).items() if id(thing) not in tested}


def in_json(config):
    """Return a config as it comes back from a file."""
    return json.loads(json.dumps(config))


def round_trip(family, thing):
    """Return what is made again, through JSON, by the `serialize` and `deserialize` of a family."""
    again = family.deserialize(in_json(family.serialize(thing)))
    assert type(again) is type(thing)
    assert in_json(again.get_config()) == in_json(thing.get_config())
    return again


def signature(cls):
    """Return names, defaults and kinds of the arguments of a constructor or function."""
    return [(p.name, p.default, p.kind) for p in inspect.signature(cls).parameters.values()]
