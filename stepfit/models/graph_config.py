"""Graphs of layers as configs, in Keras's form, and back.

A config lists the layers and operations of a graph and, for each, its calls: the arguments with,
for every symbolic tensor in them, the name of the operation it comes from, which of that one's
calls, and which of the call's outputs.
"""

from typing import Any

import numpy as np

from stepfit.core import errors, naming, symbolic
from stepfit.core.deserialization import deserialize
from stepfit.core.op import OpCall
from stepfit.core.serialization import serialize, serialize_object
from stepfit.layers.layer import Layer
from stepfit.models import operation_config

_KEYS = ("name", "layers", "input_layers", "output_layers")


def is_graph_config(config):
    """Say whether a config is one of a graph."""
    return all(key in config for key in _KEYS)


def to_config(model, is_functional):
    """Return the config of a model with a graph.

    Args:
        model: the model.
        is_functional: predicate on operations: models with a graph of their own, whose calls
            Keras counts from 1.
    """
    graph = model._graph
    calls: dict[int, list] = {id(o): [] for o in graph.operations}
    for tensor in graph.input_tensors:
        node = graph.source(tensor)
        if node not in calls[id(node.operation)]:
            calls[id(node.operation)].append(node)
    for node in graph.nodes:
        calls[id(node.operation)].append(node)
    names = _unique_names(graph.operations)

    def history(tensor):
        node = graph.source(tensor)
        outputs = [tensor] if node.operation is not None and tensor in graph._entries else (
            node.output_tensors
        )  # fmt: skip
        index = next((i for i, t in enumerate(outputs) if t is tensor), 0)
        return [names[id(node.operation)], calls[id(node.operation)].index(node), index]

    def reference(tensor):
        config = {"shape": list(tensor.shape), "dtype": tensor.dtype,
                  "keras_history": history(tensor)}  # fmt: skip
        return {"class_name": "__keras_tensor__", "config": config}

    def plain(tree):
        return serialize(_map_references(reference, tree))

    def outer(tensor):
        name, call, index = history(tensor)
        return [name, call + is_functional(graph.source(tensor).operation), index]

    layers = []
    for operation in graph.operations:
        nodes = [n for n in calls[id(operation)] if n.input_tensors and n in graph.nodes]
        if isinstance(operation, OpCall):
            (node,) = nodes
            entry, args, kwargs = operation_config.to_config(
                operation, node.args, node.kwargs, model._where()
            )
            inbound = [{"args": plain(args), "kwargs": plain(kwargs)}]
            if isinstance(entry["config"], dict):
                entry["config"]["name"] = names[id(operation)]
        else:
            entry = serialize_object(operation)
            inbound = [{"args": plain(list(n.args)), "kwargs": plain(n.kwargs)} for n in nodes]
        layers.append({**entry, "name": names[id(operation)], "inbound_nodes": inbound})
    return {
        "name": model.name, "trainable": model.trainable, "layers": layers,
        "input_layers": symbolic.map_tensors(outer, graph.inputs),
        "output_layers": symbolic.map_tensors(outer, graph.outputs),
    }  # fmt: skip


def _map_references(fn, tree):
    """Like `map_tensors`, but with Variables as what they are worth."""
    if hasattr(tree, "assign") and hasattr(tree, "numpy"):
        raise errors.bad_value(
            "a Variable in a graph", "arguments that a file can hold", f"Variable {tree.path!r}",
            "make a layer of your own that holds it",
        )  # fmt: skip
    if symbolic.is_symbolic(tree):
        return fn(tree)
    if isinstance(tree, dict):
        return {k: _map_references(fn, v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_map_references(fn, v) for v in tree]
    if hasattr(tree, "__jax_array__") or type(tree).__module__.startswith("jax"):
        return np.asarray(tree)
    return tree


def _unique_names(operations):
    """Return ``{id: name}``: operations give way to layers of the same name."""
    taken = {o.name for o in operations if isinstance(o, Layer)}
    names = {}
    for operation in operations:
        name, count = operation.name, 0
        if not isinstance(operation, Layer):
            while name in taken:
                count += 1
                name = f"{operation.name}_{count}"
            taken.add(name)
        names[id(operation)] = name
    return names


def from_config(config, custom_objects=None):
    """Return ``(inputs, outputs)``, symbolic tensors, for a graph's config.

    Raises:
        ValueError: a call of what is not there, a loop, a layer twice.
    """
    return _Reading(config, custom_objects).run()


class _Reading:
    """One graph, on its way from config to symbolic tensors."""

    def __init__(self, config, custom_objects):
        self.config, self.custom = config, custom_objects
        self.where = f"config of {errors.describe(config.get('name'))}"
        self.operations: dict[str, Any] = {}
        self.waiting: list[tuple] = []  # (name, call's args and kwargs)
        self.outputs: dict[str, list] = {}  # of each call made

    def run(self):
        if not isinstance(self.config["layers"], list):
            raise self._wrong("layers", "a list", errors.describe(self.config["layers"]))
        for entry in self.config["layers"]:
            self._add(entry)
        self._call_all()
        inputs, outputs = (self._structure(self.config[k]) for k in _KEYS[2:])
        return inputs, outputs

    def _wrong(self, what, expected, found, fix=None):
        return errors.bad_value(f"{self.where}: {what}", expected, found, fix)

    def _add(self, entry):
        if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
            raise self._wrong("layers", "a dict with 'class_name'", errors.describe(entry))
        own = entry["config"] if isinstance(entry.get("config"), dict) else {}
        name = entry.get("name", own.get("name"))
        if not isinstance(name, str) or name in self.operations:
            raise self._wrong("layers", "names that differ", f"{errors.describe(name)} twice")
        naming.check_name(name, self.where)
        if operation_config.is_operation(entry):
            operation: Any = operation_config.from_config(entry)
        else:
            operation = deserialize(_without_calls(entry), self.custom, "layer")
        self.operations[name] = operation
        self.outputs[name] = []
        if _is_input(operation):
            self.outputs[name].append([operation.output])
        calls = entry.get("inbound_nodes") or []
        if not isinstance(calls, list):
            raise self._wrong(f"layer {name!r}", "a list of calls", errors.describe(calls))
        self.waiting.extend((name, call) for call in calls)

    def _call_all(self):
        """Make the calls, each when the tensors that it needs are there."""
        while self.waiting:
            left, blocked = [], set()
            for name, call in self.waiting:
                # Calls of one layer keep their order, by which other calls refer to them.
                arguments = None if name in blocked else self._arguments(call)
                if arguments is None:
                    blocked.add(name)
                    left.append((name, call))
                else:
                    self._call(name, *arguments)
            if len(left) == len(self.waiting):
                raise self._wrong(
                    f"layer {left[0][0]!r}", "calls on tensors of other layers",
                    "a call on what no layer gives",
                )  # fmt: skip
            self.waiting = left

    def _call(self, name, args, kwargs):
        operation = self.operations[name]
        if isinstance(operation, Layer):
            known = operation._signature.names
            kwargs = {k: v for k, v in kwargs.items() if v is not None or k in known}
        result = operation(*args, **kwargs)
        tensors = symbolic.symbolic_leaves(result)
        if not isinstance(operation, Layer) and tensors:
            tensors[0].node.operation.name = name
        self.outputs[name].append(tensors)

    def _arguments(self, call):
        """Return ``(args, kwargs)`` of a call, or None where a tensor is not there yet."""
        try:
            if isinstance(call, list):  # Keras 2: [[name, call, output, kwargs], ...]
                tensors = [self._tensor(*part[:3]) for part in call]
                kwargs = call[0][3] if call and len(call[0]) > 3 else {}
                return [tensors[0] if len(tensors) == 1 else tensors], self._revive(kwargs)
            return self._revive(call["args"]), self._revive(call["kwargs"])
        except _NotYet:
            return None
        except (TypeError, KeyError, IndexError) as e:
            if isinstance(e, errors.StepfitError):
                raise
            raise self._wrong("a call", "its args and kwargs", errors.describe(call)) from None

    def _revive(self, tree):
        if isinstance(tree, dict):
            if tree.get("class_name") == "__keras_tensor__":
                return self._tensor(*tree["config"]["keras_history"][:3])
            if "class_name" in tree and "config" in tree:
                return deserialize(tree, self.custom)
            return {k: self._revive(v) for k, v in tree.items()}
        if isinstance(tree, list):
            return [self._revive(v) for v in tree]
        return tree

    def _tensor(self, name, call, index):
        if name not in self.operations:
            raise errors.unknown_name(f"{self.where}: a call", "layer", name, self.operations)
        made = self.outputs[name]
        for number in (call, index):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise self._wrong(f"layer {name!r}", "numbers of calls", errors.describe(number))
        if call >= len(made):
            raise _NotYet
        if index >= len(made[call]):
            raise self._wrong(f"layer {name!r}", f"{len(made[call])} outputs", f"number {index}")
        return made[call][index]

    def _structure(self, tree):
        if isinstance(tree, list) and len(tree) == 3 and isinstance(tree[0], str):
            name, call, index = tree
            if hasattr(self.operations.get(name), "_graph") and not hasattr(
                self.operations[name], "_stack"
            ):
                call -= 1  # Keras counts a model's own graph as its first call
            try:
                return self._tensor(name, call, index)
            except _NotYet:
                raise self._wrong(f"layer {name!r}", f"call {call}", "fewer calls") from None
        if isinstance(tree, dict):
            return {k: self._structure(v) for k, v in tree.items()}
        if isinstance(tree, (list, tuple)):
            return [self._structure(v) for v in tree]
        raise self._wrong("inputs and outputs", "[layer, call, output]", errors.describe(tree))


class _NotYet(Exception):
    """A tensor that a call still to be made gives."""


def _is_input(operation):
    return type(operation).__name__ == "InputLayer" and bool(
        getattr(operation, "_inbound_nodes", None)
    )


def _without_calls(entry):
    dropped = {"inbound_nodes", "name"}
    if str(entry.get("module")).partition(".")[0] == "keras":
        dropped.add("build_config")  # the calls build it
    return {k: v for k, v in entry.items() if k not in dropped}
