"""Tracking: find what an object holds by looking at its attributes, when asked.

There are no list wrappers and no registration: a layer put into a list, a tuple or a dict, now or
later, is found by the next walk. `Tracked` marks the classes whose attributes are looked at
(layers, metrics, optimizers, seed generators); everything else is a leaf that is not held.

A walk takes time that grows with the model. What was found by one stays right while `changes()`
stays the same and no list, dict or set was changed in place, which a `Watch` looks at.
"""

import operator
from typing import TYPE_CHECKING

from stepfit.core import changes as counter
from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable

_MISSING = object()
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})


class Tracked:
    """Marks classes whose attributes hold Variables or other `Tracked` objects."""

    _untracked_names = frozenset({"_init_arguments"})  # attributes that refer and do not hold
    # Attributes that calls write as they run, or that never change but along with what is counted.
    _unwatched_names: frozenset[str] = frozenset()
    _changed_at = 0  # the number of the latest change to an attribute of this object

    if not TYPE_CHECKING:  # to a type checker, every name could be set

        def __setattr__(self, name, value):
            if name in self._unwatched_names:  # running calls write them
                object.__setattr__(self, name, value)
                return
            before = vars(self).get(name, _MISSING)
            try:
                object.__setattr__(self, name, value)
            except AttributeError:
                _refuse_computed(self, name)
                raise
            self._note_change(name, before)

        def __delattr__(self, name):
            before = vars(self).get(name, _MISSING)
            object.__delattr__(self, name)
            if name not in self._unwatched_names:
                self._note_change(name, before)

    def _note_change(self, name, before):
        held = vars(self)  # what a property's setter changes is counted where it is stored
        if held.get(name, _MISSING) is not before:
            counter.note()
            if not scopes.in_stateless_scope():  # what a traced step writes changes nothing
                held["_changed_at"] = counter.count()

    def _held(self):
        """Return the objects to look through: the values of the attributes, in order."""
        skip = self._untracked_names
        return [v for k, v in vars(self).items() if k not in skip]


def _refuse_computed(obj, name):
    """Refuse to set what stepfit's classes compute, and say so."""
    for cls in type(obj).__mro__:
        found = vars(cls).get(name)
        if found is None:
            continue
        if isinstance(found, property) and found.fset is None:
            if cls.__module__.partition(".")[0] == "stepfit":  # else the user's own
                raise errors.cannot_be_set(f"{type(obj).__name__}.{name}", name) from None
        return


def children(obj):
    """Return the Variables and Tracked objects that `obj` holds itself, each once, in order."""
    found, seen, stack = [], {id(obj)}, obj._held()[::-1]
    while stack:
        item = stack.pop()
        if type(item) in _PLAIN:  # most of them
            continue
        if isinstance(item, (Variable, Tracked)):
            if id(item) not in seen:
                seen.add(id(item))
                found.append(item)
        elif isinstance(item, dict):
            stack.extend(list(item.values())[::-1])
        elif isinstance(item, (list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item[::-1])
        elif isinstance(item, (set, frozenset)) and id(item) not in seen:
            seen.add(id(item))
            held = [x for x in item if isinstance(x, (Variable, Tracked))]
            stack.extend(sorted(held, key=lambda x: str(getattr(x, "name", "")), reverse=True))
    return found


def walk(obj, keep, enter=lambda item: True):
    """Return everything below `obj` for which `keep` holds, each once, parents before children.

    Args:
        obj: a `Tracked` object (itself not returned).
        keep: predicate on Variables and Tracked objects.
        enter: predicate that says into which Tracked objects to descend.
    """
    found, seen = [], {id(obj)}

    def visit(parent):
        for item in children(parent):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if keep(item):
                found.append(item)
            if isinstance(item, Tracked) and enter(item):
                visit(item)

    visit(obj)
    return found


def changes():
    """Return a number that is another one once something has changed that a walk may have found.

    Counted, in the whole process: a Variable made, copied or unpickled; a Variable's `trainable`
    set to another value; an attribute of a `Tracked` object (layer, model, metric, optimizer, seed
    generator) set to another object, of whatever type, or deleted. So `layer.trainable = ...`,
    `model.add(...)`, `layer.rate = 0.1`, `compile(...)` and `optimizer.learning_rate = schedule`
    count. Not counted: values assigned to Variables; what running calls write (the class's
    `_unwatched_names`); lists, dicts and sets changed in place and attributes written past
    ``__setattr__`` (the former are seen by a `Watch`).

    Returns:
        int; the same as before means that nothing counted has happened since, in any thread.
    """
    return counter.count()


class Watch:
    """Says, without a walk, whether what some objects hold may have changed.

    Args:
        roots: `Tracked` objects; everything below them is watched too.

    Example:

    >>> import stepfit as keras
    >>> layer = keras.layers.Dense(2)
    >>> layer.extras = []
    >>> watch = Watch(layer)
    >>> watch.changed()
    False
    >>> layer.extras.append(keras.layers.Dropout(0.5))
    >>> watch.changed()
    True
    """

    def __init__(self, *roots):
        self._roots = roots
        self.renew()

    def renew(self):
        """Take what is held now as what is to stay."""
        self._count = counter.count()  # before looking, so that no change falls in between
        self._contents = [(box, tuple(_items(box))) for box in _containers(self._roots)]

    def changed(self):
        """Say whether anything counted by `changes`, or any container below, has changed."""
        return self._count != counter.count() or not all(map(_is_as_before, self._contents))


def _items(box):
    return box.values() if isinstance(box, dict) else box


def _is_as_before(entry):
    box, items = entry
    if len(box) != len(items):
        return False
    return not items or all(map(operator.is_, _items(box), items))  # most are empty


def _containers(roots):
    """Return the lists, dicts and sets through which a walk from `roots` may lead."""
    found: dict[int, object] = {}
    seen, stack = set(), list(roots)
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        if isinstance(item, Tracked):
            seen.add(id(item))
            skip = item._untracked_names | item._unwatched_names
            stack.extend(v for k, v in vars(item).items() if k not in skip)
        elif isinstance(item, (list, tuple, dict, set, frozenset)):
            seen.add(id(item))
            if isinstance(item, (list, dict, set)):
                found[id(item)] = item
            stack.extend(_items(item))
    return list(found.values())
