"""Where the state of each object below a model stands in a weights file: Keras's paths.

A path is made of attribute names ("encoder/dense"), in lists and dicts of class names ("dense_1"),
so that it does not depend on automatic names. Objects are met in Keras's order (layers of a graph
first, then attributes in alphabetical order, private ones last) and each stands at the first path
that leads to it.
"""

from typing import Any, NamedTuple

from stepfit.core import naming
from stepfit.core.serialization import is_own
from stepfit.core.tracking import Tracked

_OF_MODELS = ("layers", "optimizer")  # what is looked at among a model's own attributes
_NOT_LOOKED_AT = frozenset({
    "_cached_call", "_compile_arguments", "_compiled_loss", "_compiled_metrics", "_graph",
    "_graph_layers", "_graph_variables", "_inbound_nodes", "_init_arguments", "_look", "_losses",
    "_optimizer", "_optimizer_given", "_runners", "_stack", "_weights_made", "history",
})  # fmt: skip


class Place(NamedTuple):
    """An object with state, and its path."""

    path: str
    object: Any

    @property
    def name(self):
        """The object's own name, "" where it has none."""
        name = getattr(self.object, "name", "")
        return name if isinstance(name, str) else ""


def places(root):
    """Return a `Place` for each object below `root`, and for itself, in Keras's order."""
    found: list[Place] = []
    seen: set[int] = set()

    def visit(obj, path):
        if id(obj) in seen:
            return
        seen.add(id(obj))
        if hasattr(obj, "save_own_variables") or hasattr(obj, "save_assets"):
            found.append(Place(path, obj))
        for name, value in _attributes(obj):
            below = f"{path}/{name}" if path else name
            if isinstance(value, Tracked):
                visit(value, below)
            elif isinstance(value, (list, tuple, dict)):
                enter(value, below)

    def enter(container, path):
        if id(container) in seen:
            return
        seen.add(id(container))
        used: dict[str, int] = {}
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, Tracked):
                visit(item, f"{path}/{_unique(naming.to_snake_case(type(item).__name__), used)}")
            elif isinstance(item, (list, tuple, dict)):
                enter(item, f"{path}/{_unique('container', used)}")

    visit(root, "")
    return found


def _unique(name, used):
    used[name] = used.get(name, -1) + 1
    return f"{name}_{used[name]}" if used[name] else name


def _attributes(obj):
    """Yield ``(name, value)`` of what an object may hold others in."""
    if hasattr(obj, "_graph") and (obj._graph is not None or hasattr(obj, "_stack")):
        yield "layers", obj.layers
    renamed = getattr(obj, "_saved_names", {})
    names = {renamed.get(n, n): n for n in _names(obj) if n not in _NOT_LOOKED_AT}
    for name in sorted(names, key=lambda n: f"~{n}" if n.startswith("_") else n):
        try:
            value = getattr(obj, names[name])
        except Exception:  # a property of the user's that has nothing to give now
            continue
        yield name, value


def _names(obj):
    names = set(vars(obj))
    if hasattr(obj, "_compiled"):
        names |= {"layers"} | ({"optimizer"} if obj._compiled else set())
    if not is_own(type(obj)):  # properties of the user's lead to layers, too
        for cls in type(obj).__mro__:
            if not is_own(cls) and cls is not object:
                names |= {n for n in vars(cls) if not n.startswith("__")}
    return names
