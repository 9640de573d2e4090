"""Graph: the nodes between some symbolic inputs and outputs, and how to run them on arrays."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors, masks, symbolic
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable
from stepfit.layers.input_layer import InputLayer
from stepfit.layers.layer import Layer


class Graph:
    """A directed acyclic graph of layer and operation calls.

    Args:
        inputs: structure (tensor, list, tuple, dict) of symbolic tensors.
        outputs: structure of symbolic tensors that depend on them.
        where: the model's name, for errors.

    Attributes:
        any_size: whether inputs of any sizes are passed on to the layers, which check them.
    """

    def __init__(self, inputs, outputs, where):
        self.where, self.any_size = where, False
        self.inputs, self.outputs = inputs, outputs
        self.input_tensors = symbolic.symbolic_leaves(inputs)
        self.output_tensors = symbolic.symbolic_leaves(outputs)
        _check_tensors("inputs", inputs, self.input_tensors, where)
        _check_tensors("outputs", outputs, self.output_tensors, where)
        self._entries = {t: _entry(t) for t in self.input_tensors}
        visited, first_seen = self._visit()
        self.nodes = sorted(
            (n for n in visited if n.input_tensors), key=lambda n: n.index
        )  # calls to run
        self.operations = self._by_depth(visited, first_seen)
        self.layers = [o for o in self.operations if isinstance(o, Layer)]
        self.variables = list(
            {id(v): v for n in self.nodes for v in _variables_in((n.args, n.kwargs))}.values()
        )  # given to operations as arguments
        self._check_names()

    def source(self, tensor):
        """Return the node that gives `tensor` in this graph; an input's is that of its Input."""
        return self._entries.get(tensor) or tensor.node

    def _visit(self):
        """Return the nodes the outputs depend on, and the order operations are first met in."""
        visited: list[Any] = []
        state: dict[int, str] = {}
        first_seen: dict[int, int] = {}
        for output in self.output_tensors:
            stack = [(output, False)]
            while stack:
                tensor, done = stack.pop()
                node = self.source(tensor)
                if done:
                    state[id(node)] = "done"
                    visited.append(node)
                    continue
                if id(node) in state:
                    continue
                if node is None:
                    raise self._disconnected(tensor)
                state[id(node)] = "open"
                first_seen.setdefault(id(node.operation), len(first_seen))
                stack.append((tensor, True))
                if tensor in self._entries:
                    continue
                if not node.input_tensors:
                    raise self._disconnected(tensor)
                stack.extend((t, False) for t in reversed(node.input_tensors))
        return visited, first_seen

    def _disconnected(self, tensor):
        return errors.bad_value(
            f"{self.where} inputs", "every tensor that the outputs depend on",
            f"outputs that also depend on {tensor.name!r}, shape {tensor.shape}",
            "add it to the inputs",
        )  # fmt: skip

    def _by_depth(self, visited, first_seen):
        """Order operations from the inputs to the outputs: by distance to the outputs, then as met.

        It is Keras's order of `model.layers`, and so of the weights.
        """
        node_depth: dict[int, int] = {}
        operation_depth: dict[int, int] = {}
        operations: dict[int, Any] = {}
        for node in reversed(visited):
            operation = node.operation
            depth = max(node_depth.get(id(node), 0), operation_depth.get(id(operation), 0))
            node_depth[id(node)] = operation_depth[id(operation)] = depth
            operations[id(operation)] = operation
            for tensor in node.input_tensors:
                parent = id(self.source(tensor))
                node_depth[parent] = max(depth + 1, node_depth.get(parent, 0))
        for tensor in self.input_tensors:
            operation = self.source(tensor).operation
            if id(operation) not in operations:
                operations[id(operation)] = operation
                operation_depth[id(operation)], first_seen[id(operation)] = 0, -1
        keys = sorted(operations, key=lambda k: (-operation_depth[k], first_seen[k]))
        return [operations[k] for k in keys]

    def _check_names(self):
        seen: dict[str, Any] = {}
        for layer in self.layers:
            if seen.setdefault(layer.name, layer) is not layer:
                raise errors.bad_value(
                    f"{self.where} layers", "names that differ", f"{layer.name!r} twice",
                    "pass name= to one of them",
                )  # fmt: skip

    def standardize(self, inputs):
        """Match a call's inputs to the graph's: structure, names, rank, dtype."""
        values = self._flatten_inputs(inputs)
        return [self._adapt(t, x) for t, x in zip(self.input_tensors, values, strict=True)]

    def _flatten_inputs(self, inputs):
        tensors = self.input_tensors
        if isinstance(inputs, dict) and not isinstance(self.inputs, dict):
            return self._by_name(inputs, {t.name: t for t in tensors})
        if isinstance(self.inputs, dict):
            if isinstance(inputs, dict):
                return self._by_name(inputs, self.inputs)
            values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        else:
            values = _leaves(inputs)
        if len(values) != len(tensors):
            names = [t.name for t in tensors]
            fix = None
            if isinstance(inputs, tuple) and len(inputs) in (2, 3) and len(tensors) == 1:
                fix = "where these are inputs and targets, pass them one by one: x, y"
            raise errors.bad_value(
                f"{self.where} inputs", f"{len(tensors)} arrays, for {names}",
                f"{len(values)} ({errors.describe(inputs)})", fix,
            )  # fmt: skip
        return values

    def _by_name(self, inputs, wanted):
        missing = [k for k in wanted if k not in inputs]
        if missing:
            raise errors.bad_value(
                f"{self.where} inputs", f"the keys {list(wanted)}", f"{list(inputs)}",
                f"{missing[0]!r} is missing" + _near(missing[0], inputs, wanted),
            )  # fmt: skip
        keys = symbolic.sorted_keys(wanted) if wanted is self.inputs else wanted
        return [x for k in keys for x in _leaves(inputs[k])]

    def _adapt(self, tensor, x):
        if isinstance(x, symbolic.KerasTensor):
            self._check_shape(tensor, x.shape)
            return x
        mask, given = masks.get_mask(x), x
        is_text = tensor.dtype == "string"
        x = np.asarray(x) if is_text else jnp.asarray(x)
        wanted = tensor.shape
        if x.ndim == len(wanted) - 1 and wanted[-1] == 1:
            x = x[..., None]
        elif x.ndim == len(wanted) + 1 and x.shape[-1] == 1:
            x = x[..., 0]
        self._check_shape(tensor, x.shape)
        if is_text:
            return x
        if x.dtype.name != tensor.dtype:
            if jnp.iscomplexobj(x):
                raise errors.bad_type(
                    f"{self.where} input {tensor.name!r}", f"dtype {tensor.dtype}", x.dtype.name,
                    f"take .real or the absolute values, or give the Input dtype={x.dtype.name!r}",
                )  # fmt: skip
            x = x.astype(dtypes.jax_dtype(tensor.dtype))
        if x is not given:
            scopes.note_same(given, x)
        if mask is not None:
            masks.set_mask(x, mask)
        return x

    def _check_shape(self, tensor, shape):
        wanted = tensor.shape
        where = f"{self.where} input {tensor.name!r}"
        shape = tuple(shape)
        if len(shape) != len(wanted):
            raise errors.bad_value(where, f"shape {wanted}", f"shape {shape}", "check the rank")
        for axis, (w, d) in enumerate(zip(wanted, shape, strict=True)):
            if not self.any_size and w is not None and d is not None and w != d:
                raise errors.bad_value(
                    where, f"shape {wanted}", f"shape {shape}", f"axis {axis} differs"
                )

    def run(self, inputs, call=None):
        """Run every node on arrays (or on other symbolic tensors) and return the outputs."""
        values = {
            id(t): x for t, x in zip(self.input_tensors, self.standardize(inputs), strict=True)
        }

        def get(tensor):
            return values[id(tensor)]

        for node in self.nodes:
            args, kwargs = symbolic.map_tensors(get, (node.args, node.kwargs))
            result = node.operation(*args, **kwargs)
            note_outputs(node.outputs, result, values)
        return symbolic.map_tensors(get, self.outputs)


def note_outputs(tensors, result, values):
    """Store what stands in `result` where the symbolic tensors stand in their structure."""
    if isinstance(tensors, symbolic.KerasTensor):
        values.setdefault(id(tensors), result)  # what was fed stays
    elif isinstance(tensors, dict):
        for key, tensor in tensors.items():
            note_outputs(tensor, result[key], values)
    elif isinstance(tensors, (list, tuple)):
        for tensor, value in zip(tensors, result, strict=True):
            note_outputs(tensor, value, values)


def _variables_in(tree):
    if isinstance(tree, Variable):
        return [tree]
    if isinstance(tree, (list, tuple, dict)):
        items = tree.values() if isinstance(tree, dict) else tree
        return [v for item in items for v in _variables_in(item)]
    return []


def _entry(tensor):
    """Return the Input node for a tensor; a new one where the tensor is a layer's output."""
    if tensor.node is not None and not tensor.node.input_tensors:
        return tensor.node
    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name).output.node


def _leaves(tree):
    """Leaves in the order in which symbolic structures are flattened."""
    if isinstance(tree, dict):
        return [x for k in symbolic.sorted_keys(tree) for x in _leaves(tree[k])]
    if isinstance(tree, (list, tuple)) and any(
        isinstance(x, (jax.Array, np.ndarray, symbolic.KerasTensor, list, tuple, dict))
        for x in tree
    ):
        return [x for v in tree for x in _leaves(v)]
    return [tree]


def _near(name, inputs, wanted):
    near = errors.nearest(name, [k for k in inputs if k not in wanted])
    return f" (did you mean it by {near!r}?)" if near else ""


def _check_tensors(what, tree, tensors, where):
    if not tensors or symbolic.symbolic_leaves(tree) != tensors:
        raise errors.bad_value(f"{where} {what}", "symbolic tensors", errors.describe(tree))
    for leaf in _leaves(tree):
        if not symbolic.is_symbolic(leaf):
            raise errors.bad_value(
                f"{where} {what}", "symbolic tensors, made from Input(...)", errors.describe(leaf)
            )
