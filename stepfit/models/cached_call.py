"""`model(x)` on arrays, compiled once per shape: the same values, a hundredth of the time.

A call op by op waits for Python at each of them. Where every layer is stepfit's own, a call is
known to be a pure function of the Variables' values and the input, so it is traced and compiled,
once per shape of the input and value of `training`. The values go in as arguments; new values of
Variables (moving averages, the states of seed generators) and masks come out beside the outputs.

Everything unusual is left to the call op by op: a layer, a function or an activation of the user's,
which may do more than compute; losses added in the call; a layer that looks at values (`Embedding`
checks its indices); a mask given or carried by the input; a call inside another one, a scope, a
tape or a JAX transformation; random numbers in a thread of a data loader, where each layer sees to
it that no two threads draw the same. What fails to be traced runs op by op too, so errors are
always its own.
"""

import functools
import threading
from typing import Any

import jax
import numpy as np

from stepfit.core import config, jax_private, masks, op, placement, symbolic, tracking
from stepfit.core import scope as scopes
from stepfit.layers import Embedding, call_context
from stepfit.layers.layer import Layer

UNCACHED: Any = object()  # what a `CachedCall` returns where it does not apply

_ARRAYS = (np.ndarray, jax.Array)
_NOT_CALLED = ("_initializer", "_regularizer", "_constraint")  # when the layer is


class CachedCall:
    """The compiled calls of one model.

    Args:
        model: a model with a graph.
    """

    def __init__(self, model):
        self._model = model
        self._changes = None
        self._fingerprint: Any = None
        self._variables: Any = None  # None: the model is not known to be pure
        self._draws = False
        self._functions: dict[Any, Any] = {}
        self.traces = 0

    def __call__(self, args, kwargs):
        """Return the outputs of a call, or `UNCACHED`."""
        if len(args) != 1 or not _is_plain(args[0]) or not _nothing_around():
            return UNCACHED
        training = kwargs.get("training")
        if not (training is None or training is True or training is False):
            return UNCACHED
        if len(kwargs) > ("training" in kwargs):
            return UNCACHED
        if self._changes != tracking.changes():
            self._look()
        if self._variables is None or (self._draws and _in_worker()):
            return UNCACHED
        found = self._run_compiled(training, args[0])
        if found is UNCACHED:
            outputs = Layer.__call__(self._model, *args, **kwargs)  # its error, if there is one
            self._variables = None  # it works, but not when traced
            return outputs
        outputs, out_masks, new = found
        for index, value in new.items():
            self._variables[index].assign(value)
        for index, mask in out_masks.items():
            masks.set_mask(jax.tree.leaves(outputs)[index], mask)
        self._model._begin_outermost_call(call_context.Token())
        return outputs

    def _run_compiled(self, training, inputs):
        values = [v.peek() for v in self._variables]
        try:
            return self._function(training)(values, inputs)
        except Exception:
            return UNCACHED

    def _look(self):
        """See whether the model is what it was when calls of it were compiled, and pure."""
        self._changes = tracking.changes()
        found = _fingerprint(self._model)
        if found != self._fingerprint:
            self._fingerprint, self._functions = found, {}
            self._variables = self._model.variables if _is_pure(self._model) else None
            self._draws = any(v.name == "seed_generator_state" for v in self._model.variables)

    def _function(self, training):
        spread = placement.in_force()  # a layer's output may have a layout of its own
        key = (training, config.epsilon(), config.image_data_format(), spread)
        if key not in self._functions:
            self._functions[key] = jax.jit(functools.partial(self._run, training))
        return self._functions[key]

    def _run(self, training, values, inputs):
        """The call as a pure function; runs when it is traced."""
        self.traces += 1
        variables = self._variables
        with scopes.Scope(zip(variables, values, strict=True)) as scope:
            outputs = Layer.__call__(self._model, inputs, training=training)
        if scope.guests or any(losses for _, losses in scope.layer_losses.values()):
            raise NotImplementedError("a call that does more than its compiled form would")
        leaves = enumerate(jax.tree.leaves(outputs))
        out_masks = {i: masks.get_mask(y) for i, y in leaves if masks.get_mask(y) is not None}
        new = {i: scope.get_current_value(v) for i, v in enumerate(variables)}
        return outputs, out_masks, {i: v for i, v in new.items() if v is not values[i]}


def _nothing_around():
    return (
        jax_private.at_top_level()
        and call_context.current() is None
        and not scopes.in_stateless_scope()
        and not scopes.read_hooks()
        and scopes.autocast_dtype() is None
        and not jax.config.jax_disable_jit  # type: ignore[attr-defined]  # made at run time
    )


def _in_worker():
    return threading.current_thread() is not threading.main_thread()


def _is_plain(inputs):
    """Say whether the inputs are arrays, or lists or dicts of arrays, that carry no masks."""
    leaves = [inputs] if isinstance(inputs, _ARRAYS) else symbolic.leaves(inputs)
    return bool(leaves) and all(
        isinstance(x, _ARRAYS) and x.dtype.kind not in "OUS" and masks.get_mask(x) is None
        for x in leaves
    )


def _fingerprint(model):
    """Return what a compiled call depends on."""
    below = model._flatten_layers(include_self=False)
    objects = (*below, *model.variables, model._graph, model.dtype_policy)
    flags = (model._trainable, model.autocast, model.run_eagerly, model.jit_compile)
    return _Fingerprint(objects, (flags, [layer._changed_at for layer in below]))


class _Fingerprint:
    """Objects, compared by identity (they are kept, so no other gets their id), and values."""

    def __init__(self, objects, values):
        self.objects, self.key = objects, (list(map(id, objects)), values)

    def __eq__(self, other):
        return isinstance(other, _Fingerprint) and self.key == other.key


def _is_pure(model):
    """Say whether a call only computes, as far as one can tell without running it."""
    if model.run_eagerly or model.jit_compile is False or not model.built:
        return False
    layers = [model, *model._flatten_layers(include_self=False)]
    return _is_own(type(model).call) and all(map(_only_computes, layers)) and all(
        map(_is_own, map(type, layers[1:]))
    )  # fmt: skip


def _is_own(thing):
    """Say whether a class or function is stepfit's or JAX's, not the user's."""
    if isinstance(thing, functools.partial):
        return _is_own(thing.func)
    module = getattr(thing, "__module__", None) or ""
    return module.partition(".")[0] in ("stepfit", "jax", "jaxlib", "_operator")


def _only_computes(layer):
    if isinstance(layer, Embedding) or layer._looks_at_values:
        return False
    if layer.activity_regularizer is not None:
        return False
    graph = getattr(layer, "_graph", None)
    if graph is not None and not all(map(_is_known_node, graph.nodes)):
        return False
    return all(
        _is_known(value)
        for name, value in vars(layer).items()
        if not name.endswith(_NOT_CALLED) and name not in layer._untracked_names
    )


def _is_known(value):
    """Say whether an attribute is no function of the user's, nor an array that may change."""
    if isinstance(value, Layer):
        return True  # looked at by itself
    if isinstance(value, (list, tuple)):
        return all(map(_is_known, value))
    if isinstance(value, dict):
        return all(map(_is_known, value.values()))
    if callable(value):
        return _is_own(value if hasattr(value, "__name__") else type(value))
    return not isinstance(value, np.ndarray)


def _is_known_node(node):
    if not isinstance(node.operation, op.OpCall):
        return True  # a layer
    fn = node.operation.fn
    given = jax.tree.leaves((node.args, node.kwargs), is_leaf=symbolic.is_symbolic)
    looks_at_values = fn.__module__ == "stepfit.ops.linalg"
    return _is_own(fn) and not looks_at_values and all(map(_is_known, given))
