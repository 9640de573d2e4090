"""Tracking: find what an object holds by looking at its attributes, when asked.

There are no list wrappers and no registration: a layer put into a list, a tuple or a dict, now or
later, is found by the next walk. `Tracked` marks the classes whose attributes are looked at
(layers, metrics, optimizers, seed generators); everything else is a leaf that is not held.
"""

from stepfit.core.variable import Variable


class Tracked:
    """Marks classes whose attributes hold Variables or other `Tracked` objects."""

    _untracked_names = frozenset({"_init_arguments"})  # attributes that refer and do not hold

    def _held(self):
        """Return the objects to look through: the values of the attributes, in order."""
        skip = self._untracked_names
        return [v for k, v in vars(self).items() if k not in skip]


def children(obj):
    """Return the Variables and Tracked objects that `obj` holds itself, each once, in order."""
    found, seen, stack = [], {id(obj)}, obj._held()[::-1]
    while stack:
        item = stack.pop()
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
