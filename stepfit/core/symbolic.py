"""Symbolic tensors, and how shapes are found without computing anything.

Vocabulary
----------
*KerasTensor*: a tensor that is not there yet: a shape (None for a size not known), a dtype, and the
*node* that will produce it.
*Node*: one call of an *operation* (a layer, or a function made with `@op`) on symbolic arguments.
*Probe*: to learn the shapes that a function returns, it is traced with `jax.eval_shape` on
arguments whose unknown sizes are given two different sets of numbers. What differs between the two
results is unknown; what does not is static. Any JAX function can be asked this way, and none needs
a shape formula of its own.
"""

import collections
import itertools
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import numpy as np

from stepfit.core import dtypes, errors, naming
from stepfit.core import scope as scopes

_NO_VALUE = (
    "KerasTensor {name!r}: expected an array, found a symbolic tensor, which has no value yet; use "
    "stepfit.ops, or make your function an operation with @stepfit.op, or call it in a Layer."
)


if TYPE_CHECKING:

    def _operator() -> Callable[..., "KerasTensor"]: ...


class KerasTensor:
    """A symbolic tensor: shape, dtype, and the node that produces it.

    Args:
        shape: tuple of ints and None.
        dtype: dtype name.
        name: name; default automatic.
    """

    def __init__(self, shape, dtype="float32", sparse=False, ragged=False, name=None, node=None):
        self.shape: tuple[Any, ...] = tuple(None if d is None else int(d) for d in shape)
        self.dtype = dtypes.standardize_dtype(dtype)
        self.sparse, self.ragged = sparse, ragged
        self.name = name or naming.auto_name("keras_tensor")
        self.node = node
        self._keras_mask: Any = None

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements, None where a size is unknown."""
        return None if None in self.shape else int(np.prod(self.shape))

    def __repr__(self):
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _refuse(self, *args, **kwargs) -> NoReturn:
        raise errors.StepfitTypeError(_NO_VALUE.format(name=self.name))

    __array_priority__ = 1000  # `array + symbolic` is ours to answer

    if TYPE_CHECKING:  # `core.op` gives these
        __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = _operator()
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __matmul__ = _operator()
        __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = reshape = _operator()
        __neg__ = __abs__ = __invert__ = squeeze = _operator()

    __array__ = __float__ = __int__ = __index__ = _refuse

    def __iter__(self):
        raise errors.StepfitTypeError(
            f"KerasTensor {self.name!r}: expected an array to iterate over, found a symbolic "
            "tensor; use stepfit.ops.unstack."
        )

    def __len__(self):
        return self._refuse()

    def __bool__(self):
        raise errors.StepfitTypeError(
            f"KerasTensor {self.name!r}: expected a Python bool, found a symbolic tensor; use "
            "stepfit.ops.where or stepfit.ops.cond in place of `if`."
        )

    def __hash__(self):
        return id(self)


# JAX flattens what it is given, and is told there and then that a symbolic tensor is no array.
jax.tree_util.register_pytree_node(KerasTensor, KerasTensor._refuse, lambda aux, parts: aux)


class Node:
    """One call of an operation on symbolic arguments, and the tensors it returned."""

    _order = itertools.count()

    def __init__(self, operation, args, kwargs, outputs):
        self.operation, self.args, self.kwargs, self.outputs = operation, args, kwargs, outputs
        self.index = next(self._order)  # nodes are made in an order that respects dependencies
        for tensor in self.output_tensors:
            tensor.node = self

    def __setstate__(self, state):
        self.__dict__.update(state)
        # Nodes made from now on come after it, also in another process.
        Node._order = itertools.count(max(next(self._order), self.index + 1))

    @property
    def input_tensors(self):
        """The symbolic tensors among the arguments."""
        return symbolic_leaves((self.args, self.kwargs))

    @property
    def output_tensors(self):
        """The symbolic tensors returned."""
        return symbolic_leaves(self.outputs)


def is_symbolic(x):
    """Say whether `x` is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def symbolic_leaves(tree):
    """Return the symbolic tensors in nested lists, tuples and dicts, in JAX's order."""
    if isinstance(tree, KerasTensor):
        return [tree]
    if isinstance(tree, (list, tuple)):
        return [t for item in tree for t in symbolic_leaves(item)]
    if isinstance(tree, dict):
        return [t for key in sorted_keys(tree) for t in symbolic_leaves(tree[key])]
    return []


def sorted_keys(tree):
    """Return a dict's keys in the order in which JAX flattens it."""
    try:
        return list(tree) if isinstance(tree, collections.OrderedDict) else sorted(tree)
    except TypeError:  # keys that do not compare, which JAX does not flatten
        return list(tree)


def leaves(tree):
    """Return the leaves of a pytree; symbolic tensors are leaves."""
    return jax.tree.leaves(tree, is_leaf=is_symbolic)


def any_symbolic(args, kwargs=None):
    """Say whether a symbolic tensor stands anywhere in the arguments (arrays are not entered)."""
    for item in args:
        if isinstance(item, KerasTensor):
            return True
        if isinstance(item, (list, tuple)) and any_symbolic(item):
            return True
        if isinstance(item, dict) and any_symbolic(item.values()):
            return True
    return bool(kwargs) and any_symbolic(kwargs.values())


def map_tensors(fn, tree):
    """Apply `fn` to each symbolic tensor in nested lists, tuples and dicts."""
    if isinstance(tree, KerasTensor):
        return fn(tree)
    if isinstance(tree, dict):
        return type(tree)((k, map_tensors(fn, v)) for k, v in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(fn, v) for v in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(fn, v) for v in tree)
    return tree


# Two numbers for an unknown size, per axis; composite, so that reshapes which split an axis work,
# and far apart, so that strides and pools do not bring them to the same result.
_BATCH_PROBES = (462, 798)
_AXIS_PROBES = (720, 1200)
_batch_probe: ContextVar[int | None] = ContextVar("stepfit_batch_probe", default=None)


def batch_probe():
    """Return the number that stands for an unknown batch size in the running trace, or None."""
    return _batch_probe.get()


def _probe(shape, which):
    sizes = []
    for axis, d in enumerate(shape):
        if d is None:
            d = _BATCH_PROBES[which] if axis == 0 else _AXIS_PROBES[which] + 240 * (axis - 1)
        sizes.append(d)
    return tuple(sizes)


_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


def infer(fn, args, kwargs, where, named=False):
    """Return `fn`'s outputs for symbolic arguments, as a tree of new KerasTensors.

    Args:
        fn: a JAX-traceable function. It is traced in a scope of its own: assignments and losses
            made while tracing are dropped.
        args, kwargs: its arguments, with symbolic tensors anywhere in them.
        where: the operation's name, for errors.
        named: whether a TypeError or ValueError of `fn` is raised anew, naming the operation.
    """
    tensors = symbolic_leaves((args, kwargs))
    if any(t.dtype == "string" for t in tensors):
        fix = "put a StringLookup, TextVectorization or Hashing layer before it"
        raise errors.bad_type(f"{where} input", "numbers", "strings", fix)
    unknown = any(None in t.shape for t in tensors)

    def trace(which):
        token = _batch_probe.set(_BATCH_PROBES[which] if unknown else None)
        try:
            return _trace(which)
        finally:
            _batch_probe.reset(token)

    def _trace(which):
        structs = [jax.ShapeDtypeStruct(_probe(t.shape, which), t.dtype) for t in tensors]

        def run(values):
            feed = {id(t): v for t, v in zip(tensors, values, strict=True)}
            new_args, new_kwargs = map_tensors(lambda t: feed[id(t)], (args, kwargs))
            with scopes.Scope(collect_losses=True) as scope:
                scope.abstract = True
                found: list = []
                forms.append(_take_apart(fn(*new_args, **new_kwargs), found))
                return found

        forms: list[Any] = []
        try:
            outputs = jax.eval_shape(run, structs)
        except errors.StepfitError as e:
            hide = _probe_hider(tensors, [s.shape for s in structs])
            e.args = (hide(str(e)),)
            e.__notes__ = [hide(note) for note in getattr(e, "__notes__", [])]
            raise
        except Exception as e:
            shapes = ", ".join(f"{t.dtype}{t.shape}" for t in tensors)
            note = f"This happened while finding the output shape of {where} for inputs {shapes}"
            if unknown:
                probed = ", ".join(str(s.shape) for s in structs)
                note += f" (unknown sizes were tried as {probed})"
            rephrase = named and isinstance(e, (TypeError, ValueError))
            error = _rephrase(e, where, tensors, [s.shape for s in structs]) if rephrase else e
            error.add_note(note + ".")
            errors.drop_jax_note(error)
            if isinstance(e, _VALUES):
                error.add_note(f"In {where}, which is traced for that: {errors.NO_VALUES}.")
            if rephrase:
                raise error from e
            raise
        return outputs, forms[-1]

    first, form = trace(0)
    second, other_form = trace(1) if unknown else (first, form)
    ranks, other_ranks = [[len(s.shape) for s in found] for found in (first, second)]
    structures: list[Any] = [jax.tree.structure(f) for f in (form, other_form)]
    if structures[0] != structures[1] or ranks != other_ranks:
        raise errors.StepfitValueError(
            f"{where}: expected outputs whose rank and structure do not depend on the batch size, "
            "found outputs that differ between two batch sizes; return the same structure always."
        )
    shapes = [
        tuple(m if m == n else None for m, n in zip(a.shape, b.shape, strict=True))
        for a, b in zip(first, second, strict=True)
    ]
    made = [KerasTensor(s, a.dtype) for s, a in zip(shapes, first, strict=True)]
    return _map_plain(lambda slots: jax.tree.map(made.__getitem__, slots), form)


def _probe_hider(tensors, probes):
    """Return a function that puts None for the sizes that only stand for unknown ones."""
    sizes = {p for t, probe in zip(tensors, probes, strict=True)
             for d, p in zip(t.shape, probe, strict=True) if d is None}  # fmt: skip
    pattern = re.compile(rf"\b({'|'.join(map(str, sizes)) or '$.'})\b")
    return lambda text: pattern.sub("None", text)


def _rephrase(e, where, tensors, probes):
    """Return an error of JAX, met while probing, as one that names the operation and its inputs."""
    reason = str(e).strip().splitlines()[0].rstrip(".") if str(e).strip() else type(e).__name__
    reason = _probe_hider(tensors, probes)(reason)
    found = ", ".join(f"{t.dtype}{t.shape}" for t in tensors)
    text = errors.message(where, "arguments that it can take", found, reason)
    is_type = isinstance(e, TypeError) and "shape" not in reason
    return (errors.StepfitTypeError if is_type else errors.StepfitValueError)(text)


def _map_plain(fn, tree):
    """Apply `fn` to what stands in dicts (in their own order, not sorted), lists and tuples."""
    if tree is None:
        return None
    if type(tree) is dict:
        return {k: _map_plain(fn, v) for k, v in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_map_plain(fn, v) for v in tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map_plain(fn, v) for v in tree))
    return fn(tree)


def _take_apart(tree, found):
    """Move the arrays of a structure to the list `found`; return it with their places there."""

    def places(part):
        flat, structure = jax.tree.flatten(part)
        found.extend(flat)
        return jax.tree.unflatten(structure, range(len(found) - len(flat), len(found)))

    return _map_plain(places, tree)


def get_source_inputs(tensor):
    """Return the symbolic inputs that a symbolic tensor was computed from, in the order met.

    >>> import stepfit as keras
    >>> a, b = keras.Input((2,)), keras.Input((2,))
    >>> [x is y for x, y in zip(keras.utils.get_source_inputs(a * b + a), [a, b])]
    [True, True]
    """
    if not is_symbolic(tensor):
        raise errors.bad_type("get_source_inputs(tensor)", "a symbolic tensor", tensor)
    found: list[KerasTensor] = []
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        before = item.node.input_tensors if item.node is not None else []
        if before:
            stack.extend(reversed(before))
        else:
            found.extend(item.node.output_tensors if item.node is not None else [item])
            seen.update(map(id, found))
    return found
