"""The one scope: which value does a Variable have, here and now?

Vocabulary
----------
*Scope*: a map from Variables to values, active inside a ``with`` block, in this thread (or async
task) only. While it is active, reading a Variable gives the mapped value and assigning to it
changes the map, not the Variable. The values may be tracers: this is how stateful code (layers,
metrics, optimizers) becomes a pure function of its state. Scopes nest: a read that the inner scope
cannot answer asks the next one out; a write always goes to the innermost.

*Read hook*: a function called with every Variable read and its value; the gradient tape uses one to
learn which value stood for which Variable.

*Autocast*: the dtype in which float Variables are read inside a layer's ``call``.

All three are context-local, so two threads that train two models never see each other's values.
"""

import contextlib
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Self

from stepfit.core import errors

_scope: ContextVar[Any] = ContextVar("stepfit_scope", default=None)
_hooks: ContextVar[tuple[Any, ...]] = ContextVar("stepfit_read_hooks", default=())
_autocast: ContextVar[str | None] = ContextVar("stepfit_autocast", default=None)


class Scope:
    """Give Variables other values inside a ``with`` block, and collect what is assigned there.

    Args:
        state_mapping: pairs ``(variable, value)``; values are arrays (or tracers) of the
            variable's shape.
        collect_losses: whether `add_loss` inside the block is collected in `scope.losses`.
        initialize_variables: accepted for Keras's signature; Variables made inside a scope always
            get their initial value at once.

    Example:

    >>> import jax, stepfit as keras
    >>> v = keras.Variable(2.0)
    >>> def f(value):
    ...     with keras.StatelessScope([(v, value)]) as scope:
    ...         v.assign(v * 3)
    ...     return scope.get_current_value(v)
    >>> float(jax.jit(f)(5.0)), float(v.value)
    (15.0, 2.0)
    """

    abstract: bool  # set where only shapes are looked for

    def __init__(
        self,
        state_mapping: Iterable[tuple[Any, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ):
        self.collect_losses = collect_losses
        self.losses: list[Any] = []
        self.values: dict[int, Any] = {}  # id(variable) -> value
        self.variables: dict[int, Any] = {}  # id(variable) -> variable; keeps ids alive
        # id -> variable read or assigned here that no scope had a value for
        self.guests: dict[int, Any] = {}
        self.parent: Any = None
        self.abstract = False  # only shapes are asked for
        self.again = False  # and were before
        self.draws = 0  # from the process-wide random generator
        self.layer_losses: dict = {}  # id(layer) -> (outermost call, its losses)
        self.forward_losses: dict = {}  # id(model) -> losses of a stateless_call, for compute_loss
        self.last_loss: Any = None  # what compute_loss returned
        self.tracker_results: list = []  # what loss trackers returned
        self.is_step = False  # whether the engine opened it, for one training step
        self.last_calls: dict = {}  # id(layer) -> its last outermost call
        self.scaled_by: set = set()  # ids of optimizers that scaled the loss
        self.calls: list = []  # of a step: (layer, its `training`) of the outermost calls
        self.inputs: dict = {}  # id(array) -> (number of the model's input that it is, array)
        self.ranges: list = []  # (number of an input, and the arguments of `note_range`)
        self.missed: set = set()  # of a step: (id of a layer, name) that was asked for, not there
        self.targets: list = []  # arrays that the compiled loss was given as targets
        for variable, value in state_mapping or ():
            self.bind(variable, value)

    def bind(self, variable, value):
        """Give `variable` its value in this scope, checking shape and dtype."""
        key = id(variable)
        self.variables[key] = variable
        self.values[key] = variable.conform(value)

    def add_update(self, update):
        """Assign, from a pair ``(variable, value)`` (Keras's name)."""
        variable, value = update
        self.bind(variable, value)

    def get_current_value(self, variable: Any) -> Any:
        """Return the value that this scope (or one around it) has for `variable`, or None."""
        scope: Any = self
        key = id(variable)
        while scope is not None:
            if key in scope.values:
                return scope.values[key]
            scope = scope.parent
        return None

    def first_value(self):
        """Return a value that was there from the start, of this scope or one around, or None."""
        scope: Any = self
        while scope is not None and not scope.values:
            scope = scope.parent
        return None if scope is None else next(iter(scope.values.values()))

    def add_loss(self, loss):
        """Collect one loss value."""
        self.losses.append(loss)

    def __enter__(self) -> Self:
        self.parent = _scope.get()
        self._token = _scope.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _scope.reset(self._token)


def pair(where, variables, values):
    """Return pairs ``(variable, value)``, or raise saying how many values were expected.

    Args:
        where: the call and its argument, whose name is that of the property with the Variables.
        variables, values: sequences of the same length.
    """
    variables, values = list(variables), list(values)
    if len(values) != len(variables):
        name = where.partition("(")[2].rstrip(")") or "variables"
        raise errors.bad_value(
            where, f"{len(variables)} values", f"{len(values)}",
            f"pass the values of `.{name}`, in that order",
        )  # fmt: skip
    return list(zip(variables, values, strict=True))


def current_scope():
    """Return the innermost active scope, or None."""
    return _scope.get()


def is_abstract():
    """Say whether only shapes are asked for, here and now."""
    scope = _scope.get()
    while scope is not None:
        if scope.abstract:
            return True
        scope = scope.parent
    return False


def is_first_look():
    """Say whether only shapes are asked for, here and now, for the first time."""
    root = root_scope()
    return is_abstract() and not root.again


def root_scope():
    """Return the outermost active scope, or None."""
    scope = _scope.get()
    while scope is not None and scope.parent is not None:
        scope = scope.parent
    return scope


def note_range(value, low, high, where, size):
    """Say that `value` must hold integers in [low, high]: if it is an input, it gets checked.

    Args:
        value: array.
        low, high: ints.
        where: the layer that needs it, in words.
        size: its argument that `high` comes from.
    """
    root = root_scope()
    if root is not None and id(value) in root.inputs:
        root.ranges.append((root.inputs[id(value)][0], low, high, where, size))


def note_same(value, converted):
    """Say that an array is another one in another dtype or rank."""
    root = root_scope()
    if root is not None and id(value) in root.inputs:
        # The array is held, so that no other one gets its id.
        root.inputs[id(converted)] = root.inputs[id(value)][0], converted


def in_stateless_scope():
    """Say whether any scope is active."""
    return _scope.get() is not None


@contextlib.contextmanager
def no_scope():
    """Set the active scope aside: reads and writes reach the Variables themselves."""
    token = _scope.set(None)
    try:
        yield
    finally:
        _scope.reset(token)


@contextlib.contextmanager
def read_hook(hook):
    """Call ``hook(variable, value) -> value`` on each read of a Variable inside the block."""
    token = _hooks.set((*_hooks.get(), hook))
    try:
        yield
    finally:
        _hooks.reset(token)


@contextlib.contextmanager
def autocast(dtype):
    """Read float Variables as `dtype` (None: as they are) inside the block."""
    token = _autocast.set(dtype)
    try:
        yield
    finally:
        _autocast.reset(token)


def autocast_dtype():
    """Return the dtype in which float Variables are read, or None."""
    return _autocast.get()


def read_hooks():
    """Return the active read hooks, outermost first."""
    return _hooks.get()
