"""GradientTape: record what a ``with`` block computes, and differentiate it afterwards.

Vocabulary
----------
*Watched value*: an array towards which derivatives are wanted. *Tracked value*: a watched value, or
one computed from it. Values are told apart by identity, that is, as Python objects: a tape never
wraps them, so inside the block they are ordinary arrays (or, under ``jax.jit``, ordinary tracers).

*Record*: the list of *entries*, one per operation that had a tracked argument: which values went
in, which came out, and the operation's pullback, taken while the operation ran. An operation
without tracked arguments leaves no entry and costs nothing.

*Stand-in*: the array that a read of a Variable hands out. It is the Variable's value itself, unless
the tape already tracks that object for another reason (two Variables that share one array; a
Variable that was assigned a computed value); then it is a copy, so that gradients never mix.

The gradient of a Variable is the sum over its stand-ins. Walking the record backwards is ordinary
computation in the trace around it, so an outer tape records it (second derivatives), and
``jax.jit`` compiles it together with the rest of the step.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp

from stepfit.core import jax_private
from stepfit.core.errors import StepfitRuntimeError, bad_type, bad_value, describe, message
from stepfit.core.scope import read_hook
from stepfit.core.tape_jacobian import (
    Jacobians,
    Unconnected,
    check_source,
    check_target,
    flatten,
    is_variable,
)
from stepfit.core.tape_record import Recorder, is_float
from stepfit.core.variable import Variable


class GradientTape(Jacobians):
    """Record operations inside a ``with`` block for automatic differentiation.

    ``tape.gradient(target, sources)`` gives d(sum of target) / d(source) for each source. Sources
    are trainable Variables, which are watched as soon as they are read, and arrays given to
    `watch`. Works eagerly and inside functions that JAX transforms: a whole training step with a
    tape compiles under ``jax.jit``.

    Args:
        persistent: whether gradients can be asked for more than once. The record is then kept
            until the tape itself is dropped, and `gradient` called inside the block goes on record
            itself, so that a second call gives second derivatives (two nested tapes do that with
            less work).
        watch_accessed_variables: whether trainable Variables read in the block are watched.

    Returns:
        The tape; it is also what ``with GradientTape() as tape`` gives.

    Raises:
        StepfitRuntimeError: if entered while it is already recording.

    Example:

    >>> import jax.numpy as jnp
    >>> from stepfit.core.tape import GradientTape
    >>> x = jnp.float32(3.0)
    >>> with GradientTape() as outer:
    ...     outer.watch(x)
    ...     with GradientTape() as tape:
    ...         tape.watch(x)
    ...         y = x**3
    ...     slope = tape.gradient(y, x)
    >>> float(slope), float(outer.gradient(slope, x))
    (27.0, 18.0)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self._persistent = bool(persistent)
        self._watch_accessed = bool(watch_accessed_variables)
        self._trace: Any = None  # while inside the block
        self._stack: Any = None
        self._start()

    def _start(self):
        """Begin an empty record."""
        self._recorder = Recorder(replayable=self._persistent)
        self._stand_ins: dict[int, Any] = {}  # id(variable) -> {id(value): (value, stand-in)}
        self._variables: dict[int, Variable] = {}  # by id, in the order first watched
        self._used = False

    def __enter__(self) -> Self:
        if self._trace is not None:
            raise StepfitRuntimeError(
                message(
                    "GradientTape.__enter__",
                    "a tape that is not recording",
                    "one inside whose `with` block this is",
                    "make another GradientTape for the inner block",
                )
            )
        if self._used:
            self._start()
        outer = jax_private.current_trace()
        stack = contextlib.ExitStack()
        stack.callback(jax_private.set_trace, outer)
        stack.enter_context(read_hook(self._on_read))
        self._trace = jax_private.RecordingTrace(outer, self._recorder)
        self._recorder.active = True
        self._stack = stack
        jax_private.set_trace(self._trace)
        return self

    def __exit__(self, *exc: object) -> None:
        self._recorder.active = False
        stack, self._stack, self._trace = self._stack, None, None
        stack.close()

    def _on_read(self, variable, value):
        """Give the stand-in for one read of a Variable."""
        recorder, key = self._recorder, id(variable)
        wanted = key in self._variables or (self._watch_accessed and variable.trainable)
        if not (recorder.active and wanted and is_float(value)):
            return value
        inner = jax_private.current_trace()
        if inner is not self._trace and jax_private.is_tracer_of(value, inner):
            return value  # belongs to a function being traced inside the block
        self._variables[key] = variable
        known = self._stand_ins.setdefault(key, {})
        if id(value) not in known:
            stand_in = value
            if recorder.tracks(value):
                with jax_private.using_trace(self._trace.parent):
                    stand_in = jnp.copy(value)
            recorder.track(stand_in)
            known[id(value)] = value, stand_in
        return known[id(value)][1]

    def watch(self, tensor: Any) -> None:
        """Track an array, a Variable, or every leaf of a structure of them, from here on.

        Args:
            tensor: array of a float or complex dtype, Variable (trainable or not), or any nested
                structure of these.

        Returns:
            None.

        Raises:
            StepfitTypeError: if a leaf is not a JAX array, or has an integer dtype.

        Example:

        >>> import jax.numpy as jnp
        >>> point = {"x": jnp.float32(3.0), "y": jnp.float32(4.0)}
        >>> with GradientTape() as tape:
        ...     tape.watch(point)
        ...     norm = jnp.hypot(point["x"], point["y"])
        >>> {name: round(float(g), 2) for name, g in tape.gradient(norm, point).items()}
        {'x': 0.6, 'y': 0.8}
        """
        leaves, _ = flatten(tensor)
        for leaf in leaves:
            if not is_variable(leaf) and not isinstance(leaf, jax.Array):
                raise bad_type(
                    "GradientTape.watch, argument tensor",
                    "JAX arrays or Variables",
                    describe(leaf),
                    "make an array with jnp.asarray(x), and use that array inside the block",
                )
            if not is_float(leaf):
                raise bad_type(
                    "GradientTape.watch, argument tensor",
                    "a float or complex dtype",
                    leaf,
                    "convert it with x.astype('float32'), or leave it out",
                )
        for leaf in leaves:
            if is_variable(leaf):
                self._variables[id(leaf)] = leaf
            else:
                self._recorder.track(leaf)

    def watched_variables(self) -> tuple[Variable, ...]:
        """Return the Variables watched so far, in the order in which they were first watched.

        Returns:
            A tuple of Variables.

        Example:

        >>> GradientTape().watched_variables()
        ()
        """
        return tuple(self._variables.values())

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Leave the operations of an inner ``with`` block off the record.

        The operations run as usual, and tapes around this one do record them. Inside a function
        that JAX is tracing (the body of a scan, say) this has no effect, since the function goes on
        record as a whole; use ``jax.lax.stop_gradient`` there.

        Returns:
            A context manager.

        Raises:
            StepfitRuntimeError: if the tape is not recording.

        Example:

        >>> import jax.numpy as jnp
        >>> x = jnp.float32(3.0)
        >>> with GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        ...     with tape.stop_recording():
        ...         z = x * y
        >>> tape.gradient(z, x) is None
        True
        """
        recorder = self._recorder
        if not recorder.active:
            raise self._not_recording("stop_recording")
        recorder.active = False
        try:
            yield
        finally:
            # Not if the block was left, or the record used up, in between.
            inside = self._trace is not None and recorder is self._recorder
            recorder.active = inside and not self._used

    def reset(self) -> None:
        """Forget everything recorded and watched so far, and go on with an empty record.

        Returns:
            None.

        Raises:
            StepfitRuntimeError: if the tape is not recording.

        Example:

        >>> import jax.numpy as jnp
        >>> x = jnp.float32(3.0)
        >>> with GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        ...     tape.reset()
        ...     tape.watch(x)
        ...     z = y * x
        >>> float(tape.gradient(z, x))  # y is a constant now
        9.0
        """
        if self._trace is None:
            raise self._not_recording("reset")
        self._start()
        self._recorder.active = True
        self._trace.recorder = self._recorder

    def _not_recording(self, method):
        return StepfitRuntimeError(
            message(
                f"GradientTape.{method}",
                "a tape that is recording",
                "one outside its `with` block",
                "call it inside the block",
            )
        )

    def _stand_ins_of(self, source):
        """Return the ids of the tracked values that a source stands for."""
        if is_variable(source):
            pairs = self._stand_ins.get(id(source), {}).values()
            return [id(stand_in) for _, stand_in in pairs]
        return [id(source)] if id(source) in self._recorder.tracked else []

    @contextlib.contextmanager
    def _reading(self, method, unconnected_gradients):
        """Check that gradients can be taken now, and use up a tape that is not persistent."""
        if unconnected_gradients not in ("none", "zero"):
            raise bad_value(
                f"GradientTape.{method}, argument unconnected_gradients",
                "'none' or 'zero'",
                describe(unconnected_gradients),
            )
        if self._used:
            raise StepfitRuntimeError(
                message(
                    f"GradientTape.{method}",
                    "a tape whose gradients have not been taken yet",
                    "one that has given them already",
                    "ask for all sources in one call, or use GradientTape(persistent=True)",
                )
            )
        if self._recorder.active and jax_private.current_trace() is not self._trace:
            # Whatever is inside would take the derivatives for constants.
            raise StepfitRuntimeError(
                message(
                    f"GradientTape.{method}",
                    "a call after the tape's `with` block, or directly in it",
                    "one in the block of another tape, or in a traced function, inside it",
                    "leave the inner block first, or swap the two tapes",
                )
            )
        if self._persistent:
            yield
            return
        self._recorder.active = False
        self._used = True
        try:
            yield
        finally:
            self._recorder.tracked.clear()
            self._recorder.entries.clear()
            self._stand_ins.clear()

    def _pull(self, cotangents, wanted):
        """Pull back, on the record itself if that is still being written."""
        if not self._recorder.active:
            return self._recorder.pull(cotangents, wanted)
        with jax_private.using_trace(self._trace.parent):
            return self._recorder.pull(cotangents, wanted, on_record=True)

    def _collect(self, cotangents, sources, unconnected_gradients, lead=()):
        """Return one sum per source of the cotangents of the values it stands for."""
        results = []
        for source in sources:
            found = [cotangents[i] for i in self._stand_ins_of(source) if i in cotangents]
            if found:
                results.append(sum(found[1:], found[0]))
            elif unconnected_gradients == "zero":
                results.append(jnp.zeros(lead + tuple(source.shape), source.dtype))
            else:
                results.append(None)
        return results

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Unconnected = "none",
    ) -> Any:
        """Return the gradients of a target towards each source.

        ``gradient[s] = sum over t of output_gradients[t] * dt / ds``, the sum going over all
        elements of all targets.

        Args:
            target: float array of any shape, or a structure of such arrays (which are summed).
            sources: Variable, watched or computed array, or a structure of these.
            output_gradients: array or structure like `target`, the weights in the sum; None means
                ones, also for single leaves.
            unconnected_gradients: what a source gets on which the target does not depend:
                ``"none"`` (None) or ``"zero"`` (an array of zeros).

        Returns:
            Gradients in the structure of `sources`, each with the shape and dtype of its source.

        Raises:
            StepfitRuntimeError: on the second call on a tape that is not persistent.
            StepfitTypeError: if a target or source is not an array, or a target is not a float.
            StepfitValueError: if `output_gradients` does not match `target`, or
                `unconnected_gradients` is misspelt.

        Example:

        >>> import jax.numpy as jnp
        >>> x = jnp.arange(3.0)
        >>> with GradientTape(persistent=True) as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).tolist()
        [0.0, 2.0, 4.0]
        >>> tape.gradient(y, x, output_gradients=jnp.array([1.0, 0.0, 10.0])).tolist()
        [0.0, 0.0, 40.0]
        """
        targets, target_tree = flatten(target)
        leaves, tree = flatten(sources)
        for leaf in targets:
            check_target("gradient", leaf)
        for leaf in leaves:
            check_source("gradient", leaf)
        weights = _output_gradients(targets, target_tree, output_gradients)
        with self._reading("gradient", unconnected_gradients):
            cotangents: dict = {}
            for leaf, weight in zip(targets, weights):
                if weight is None:
                    weight = jnp.ones_like(leaf)
                i = id(leaf)
                if i in self._recorder.tracked:
                    cotangents[i] = cotangents[i] + weight if i in cotangents else weight
            wanted = {i for leaf in leaves for i in self._stand_ins_of(leaf)}
            cotangents = self._pull(cotangents, wanted)
            results = self._collect(cotangents, leaves, unconnected_gradients)
        return jax.tree.unflatten(tree, results)


def _output_gradients(targets, tree, output_gradients):
    """Return one weight, or None for ones, per target."""
    where = "GradientTape.gradient, argument output_gradients"
    if output_gradients is None:
        return [None] * len(targets)
    weights, weight_tree = jax.tree.flatten(output_gradients, is_leaf=lambda x: x is None)
    if weight_tree != tree:
        raise bad_value(where, f"the structure of target, {tree}", str(weight_tree))
    result = []
    for target, weight in zip(targets, weights):
        if weight is not None:
            weight = jnp.asarray(weight, target.dtype)
            if weight.shape != target.shape:
                raise bad_value(
                    where,
                    f"the shape of its target, {describe(target)}",
                    describe(weight),
                    "broadcast it with jnp.broadcast_to",
                )
        result.append(weight)
    return result
