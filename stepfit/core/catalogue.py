"""Catalogues: the names of one family ("loss", "optimizer", ...), and what they stand for.

`Catalogue.get` turns whatever a user, or a file, may write (name, config, instance, function) into
an object of that family, and of no other: a layer that is registered under some name cannot be had
by that name where an initializer is expected.
"""

from typing import Any

from stepfit.core import custom_objects, errors

_catalogues: dict[str, "Catalogue"] = {}


class Catalogue:
    """The names of one family of objects.

    Args:
        kind: what a member is called in messages, such as "loss".
        entries: dict from name to class or function.
        base: the family's base class, for recognising instances.
        argument: argument name used in messages; default `kind`.
    """

    def __init__(self, kind, entries, base=None, argument=None):
        self.kind, self.entries, self.base = kind, dict(entries), base
        self.argument = argument or kind
        _catalogues[kind] = self

    def get(self, identifier, argument=None):
        """Return the object that `identifier` stands for (None stays None).

        Raises:
            ValueError: unknown name. TypeError: a class, or something that cannot be a member.
        """
        where = argument or self.argument
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return self._instantiate(self.find(identifier, where))
        if isinstance(identifier, dict) and "class_name" in identifier:
            obj = self.find(identifier.get("registered_name") or identifier["class_name"], where,
                            identifier["class_name"])  # fmt: skip
            cfg = identifier.get("config") or {}
            if not isinstance(obj, type):
                return obj
            return obj.from_config(cfg) if hasattr(obj, "from_config") else obj(**cfg)
        if isinstance(identifier, type):
            expected = f"{errors.with_article(self.kind)} instance"
            raise errors.bad_type(where, expected, identifier, f"write {identifier.__name__}(...)")
        if callable(identifier) or (self.base and isinstance(identifier, self.base)):
            return identifier
        kind = errors.with_article(self.kind)
        raise errors.bad_type(where, f"{kind}, its name, or a callable", identifier)

    def find(self, name, where=None, fallback=None):
        """Return the class or function called `name`."""
        for candidate in (name, fallback):
            if not isinstance(candidate, str):
                continue
            if candidate in self.entries:
                return self.entries[candidate]
            found = custom_objects.get_registered_object(candidate)
            if found is not None and self.takes(found):
                return found
        raise errors.unknown_name(where or self.argument, self.kind, name, self.entries)

    def takes(self, obj):
        """Say whether a class or function of the user's can be a member of this family."""
        if not isinstance(obj, type):
            return True
        if self.base is not None and issubclass(obj, self.base):
            return True
        return family_base(obj) is None and any("__call__" in vars(c) for c in obj.__mro__)

    @staticmethod
    def _instantiate(obj):
        return obj() if isinstance(obj, type) else obj


_family_bases: list[Any] = []  # bases of families that have no catalogue, such as layers


def add_family_base(cls):
    """Note that subclasses of `cls` belong to a family of their own; returns the class."""
    _family_bases.append(cls)
    return cls


def family_base(cls):
    """Return the base class of the family that a class belongs to, or None."""
    bases = [c.base for c in _catalogues.values() if c.base is not None]
    return next((b for b in (*bases, *_family_bases) if issubclass(cls, b)), None)


def catalogue(kind):
    """Return the catalogue of a family."""
    return _catalogues[kind]
