"""Variable: a named array with identity, whose value a scope or a running `fit` may stand in for.

A Variable keeps its value in a *cell*, a list shared with whoever runs the training loop: the loop
replaces the cell's values once per step, and every Variable of the model is current at once, at no
cost per Variable. `escaped` marks values that were handed out by reading `Variable.value`; the loop
copies those before it donates their memory, so an array that a user holds never goes stale.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stepfit.core import arrays, changes, deferral, dtypes, errors, naming, placement, registry
from stepfit.core import scope as scopes
from stepfit.core.compilation_cache import ensure_compilation_cache
from stepfit.core.operators import Operators


class Cell:
    """The values of one or more Variables, replaced all at once by a running loop."""

    __slots__ = ("escaped", "left", "values")

    def __init__(self, values):
        self.values = list(values)
        self.escaped: set[int] = set()  # indices of values that somebody outside may hold
        self.left = False  # whether a Variable has moved to another cell


class Variable(Operators):
    """A named array that layers, metrics and optimizers keep their state in.

    At a JAX boundary a Variable is its value: it is a pytree node, so Variables, and lists of them,
    pass straight into `jax.jit`, `jax.grad`, `jax.vmap` and `jax.tree.map`, which see plain arrays.
    Where JAX compares the forms of two trees, the arrays go first, ``jax.tree.map(f, grads,
    variables)``, or the values are taken out, ``[v.value for v in variables]``.

    Args:
        initializer: the initial value (array, number, nested list), or a callable
            ``(shape, dtype=...) -> array``.
        shape: tuple of ints; needed with a callable initializer.
        dtype: dtype name; default: that of the value, `config.floatx()` for Python floats.
        trainable: whether optimizers update it.
        autocast: whether it is read in a layer's compute dtype inside that layer's `call`.
        aggregation: accepted for Keras's signature ("none", "mean", "sum", "only_first_replica").
        name: name, without "/"; default automatic.

    Raises:
        ValueError: shape missing with a callable, or the value's shape is not `shape`.

    Example:

    >>> import jax, jax.numpy as jnp, stepfit as keras
    >>> v = keras.Variable([1.0, 2.0], name="v")
    >>> v
    <Variable path=v, shape=(2,), dtype=float32, value=[1. 2.]>
    >>> v.assign_add([1.0, 1.0]).numpy()
    array([2., 3.], dtype=float32)
    >>> jax.grad(lambda w: jnp.sum(w**2))(v)
    Array([4., 6.], dtype=float32)
    """

    in_callback_state = False  # whether a callback keeps it for a resume; backups leave it out
    # `reference` is, for an optimizer's slot, the weight that it belongs to.
    reference: "Variable | None" = None
    sharding: Any = None  # how its value is spread over devices, where a distribution says so

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _register_pytree(cls)

    def __init__(
        self,
        initializer: ArrayLike | Sequence | Callable[..., Any] | str,
        shape: Sequence[int] | int | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        **kwargs: Any,
    ):
        self.reference = kwargs.pop("_reference", None)
        if kwargs:
            name_ = next(iter(kwargs))
            known = ("initializer", "shape", "dtype", "trainable", "autocast", "name")
            raise errors.unknown_argument("Variable(...)", name_, known)
        ensure_compilation_cache()
        given = name
        self.name: str = (
            naming.check_name(name, "Variable") if name else naming.auto_name("variable")
        )
        parent = naming.current_path()
        self.path: str = f"{parent}/{self.name}" if parent else self.name
        self._trainable = self.made_trainable = bool(trainable)
        self.autocast = bool(autocast)
        self.aggregation = aggregation
        self.regularizer: Callable[[Any], Any] | None = None
        self.constraint: Callable[[Any], Any] | None = None
        self.overwrite_with_gradient = False
        self._auto_named = given is None
        distribution = placement.in_force()
        with jax.ensure_compile_time_eval(), scopes.autocast(None):
            if distribution is None:
                value = self._initial_value(initializer, shape, dtype)
            else:
                with placement.made_on_host():
                    value = self._initial_value(initializer, shape, dtype)
        self.shape: tuple[int, ...] = tuple(value.shape)
        self.dtype: str = value.dtype.name
        self._is_float = dtypes.is_float(self.dtype)
        self._cell = Cell([value])
        self._index = 0
        if self.is_deferred:
            deferral.note(self)
        if distribution is not None:
            self.place(distribution.sharding_of(self))
        changes.note()

    def _initial_value(self, initializer, shape, dtype):
        if initializer is None:
            raise errors.bad_type(
                f"Variable {self.path!r}", "an initial value or a callable", "None"
            )
        if dtype is not None:
            dtypes.check_enabled(f"Variable {self.path!r} dtype", dtypes.standardize_dtype(dtype))
        if isinstance(initializer, str):
            initializer = registry.catalogue("initializer").get(initializer)
        if callable(initializer) and not isinstance(initializer, (Variable, jax.Array)):
            if shape is None:
                raise errors.bad_value(
                    f"Variable {self.path!r}", "a shape beside a callable initializer", "None",
                    "pass shape=(...)",
                )  # fmt: skip
            shape = tuple(int(d) for d in ((shape,) if isinstance(shape, int) else shape))
            dtype = dtypes.standardize_dtype(dtype)
            if deferral.is_on():
                make = functools.partial(_made, initializer, shape, dtype)
                return deferral.Placeholder(shape, dtypes.jax_dtype(dtype), make)
            value = _made(initializer, shape, dtype)
        else:
            if dtype is None:
                dtype = _natural_dtype(initializer, self.path)
            value = initializer.value if isinstance(initializer, Variable) else initializer
            dtype = dtypes.jax_dtype(dtypes.standardize_dtype(dtype))
            same = isinstance(value, jax.Array) and value.dtype == dtype
            # A copy: nobody else holds our memory.
            value = arrays.copied(value) if same else arrays.from_host(value, dtype)
        if shape is not None and tuple(shape) != value.shape:
            raise errors.bad_value(
                f"Variable {self.path!r}", f"an initial value of shape {tuple(shape)}",
                f"shape {value.shape}",
            )  # fmt: skip
        return value

    # -- reading ---------------------------------------------------------------------------------

    @property
    def value(self) -> jax.Array:
        """The current value: the scope's, or the Variable's own, in the autocast dtype if any."""
        value = self._read()
        for hook in scopes.read_hooks():
            value = hook(self, value)
        if self._is_float and self.autocast:
            dtype = scopes.autocast_dtype()
            if dtype is not None and dtype != self.dtype:
                value = value.astype(dtype)
        return value

    def _read(self):
        scope = scopes.current_scope()
        if scope is not None:
            value = scope.get_current_value(self)
            if value is not None:
                return value
            scopes.root_scope().guests[id(self)] = self
        if self.is_deferred:
            if scopes.is_abstract() or placement.only_planned():
                return jnp.zeros(self.shape, self.dtype)  # traced: nothing is allocated
            self._make_value()
        self._cell.escaped.add(self._index)
        return self._cell.values[self._index]

    def peek(self):
        """Return the Variable's own value, whatever scope is active, for internal use at once."""
        if self.is_deferred:
            self._make_value()
        return self._cell.values[self._index]

    @property
    def is_deferred(self):
        """Whether its value is still to be made (see `core.deferral`)."""
        return type(self._cell.values[self._index]) is deferral.Placeholder

    def peek_or_spec(self):
        """Return what `peek` does; its shape and dtype alone, where nothing will be run."""
        if placement.only_planned():
            return jax.ShapeDtypeStruct(self.shape, dtypes.jax_dtype(self.dtype))
        return self.peek()

    def peek_placeholder(self):
        """Return what stands for the value of a deferred Variable."""
        return self._cell.values[self._index]

    def _make_value(self):
        placeholder = self._cell.values[self._index]
        deferral.check_memory(placeholder.nbytes, self.path)
        with jax.ensure_compile_time_eval(), scopes.autocast(None):
            if self.sharding is None:
                value = placeholder.make()
            else:
                with placement.made_on_host():
                    value = placeholder.make()
                value = placement.placed(value, self.sharding)
        self._cell.values[self._index] = value

    def place(self, sharding):
        """Have the value lie as a `jax.sharding.Sharding` says, from now on; None: on one device.

        For whoever distributes a model; `stepfit.distribution` says how users do.
        """
        if placement.only_planned():
            return
        if self.is_deferred:
            self.sharding = sharding
            return
        value = self._cell.values[self._index]
        if sharding is not None:
            with jax.ensure_compile_time_eval():
                new = placement.placed(value, sharding)
        elif self.sharding is not None:
            new = placement.on_one_device(value)
        else:
            return
        self.sharding = sharding
        if new is not value:
            self._cell.values[self._index] = new
            self._cell.escaped.discard(self._index)

    def numpy(self) -> np.ndarray:
        """Return a NumPy copy of the value; where parts of it lie with other processes, in all."""
        return np.array(self.value) if self.sharding is None else placement.whole(self.value)

    # -- writing ---------------------------------------------------------------------------------

    def conform(self, value):
        """Return `value` as an array of this Variable's shape and dtype, or raise."""
        if isinstance(value, Variable):
            value = value.value
        if not isinstance(value, jax.Array):
            where = contextlib.nullcontext if self.sharding is None else placement.made_on_host
            with where():
                value = arrays.from_host(value, dtypes.jax_dtype(self.dtype))
        if value.shape != self.shape:
            raise errors.bad_value(
                f"Variable {self.path!r}", f"a value of shape {self.shape}", f"shape {value.shape}"
            )
        # Dtypes, for their names take long to find; that of a value to come, which stays so.
        if value.dtype != self._cell.values[self._index].dtype:
            value = value.astype(self.dtype)
        if value.weak_type:  # else the compiled step would be traced anew
            value = jax.lax.convert_element_type(value, value.dtype)
        return value

    def assign(self, value: Any) -> Self:
        """Set the value; inside a scope, the scope's value.

        Args:
            value: array of the Variable's shape; cast to its dtype.

        Returns:
            The Variable.

        Raises:
            ValueError: the shape differs, or a traced value is assigned outside a scope.
        """
        scope = scopes.current_scope()
        if scope is not None:
            if scope.get_current_value(self) is None:
                scopes.root_scope().guests[id(self)] = self
            scope.bind(self, value)
            return self
        given = value.value if isinstance(value, Variable) else value
        value = self.conform(given)
        if isinstance(value, jax.core.Tracer):
            raise errors.StepfitValueError(
                f"Variable {self.path!r}: a traced value was assigned outside a scope; the "
                "assignment would be lost and the tracer would leak. Inside jax.jit or jax.grad "
                "use stateless_call / stateless_apply / stateless_update_state, or wrap the code "
                "in `with stepfit.StatelessScope(zip(variables, values)) as scope:` and return "
                "scope.get_current_value(variable)."
            )
        if self.sharding is not None:
            value = placement.placed(value, self.sharding)
        self._cell.values[self._index] = value
        if value is given:  # the caller may hold it
            self._cell.escaped.add(self._index)
        else:
            self._cell.escaped.discard(self._index)
        return self

    def assign_add(self, value: Any) -> Self:
        """Add to the value; returns the Variable."""
        return self.assign(_uncast(self) + _operand(value, self))

    def assign_sub(self, value: Any) -> Self:
        """Subtract from the value; returns the Variable."""
        return self.assign(_uncast(self) - _operand(value, self))

    @property
    def trainable(self) -> bool:
        """Whether optimizers update this Variable."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self._trainable != bool(value):
            self._trainable = bool(value)
            changes.note()

    # -- behaving like an array --------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def T(self) -> jax.Array:
        """The transposed value."""
        return self.value.T

    __array_priority__ = 100  # `numpy_array + variable` is ours to answer

    def __jax_array__(self) -> jax.Array:
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.value if self.sharding is None else placement.whole(self.value)
        return np.array(value, dtype=dtype)

    def __repr__(self):
        head = f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}"
        value = self._read()
        if isinstance(value, jax.core.Tracer):
            return f"{head}, value={type(value).__name__}>"
        if value.size > 8:
            return head + ">"
        return f"{head}, value={np.array2string(np.asarray(value), separator=' ')}>"

    def __getitem__(self, index: Any) -> jax.Array:
        parts = tuple(map(_plain, index)) if isinstance(index, tuple) else _plain(index)
        return self.value[parts]

    def __iter__(self) -> Iterator[jax.Array]:
        return iter(self.value)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an unsized Variable")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return self.value.__index__()

    def __format__(self, spec):
        return format(self.value, spec) if spec else repr(self)

    def __deepcopy__(self, memo):
        copy = object.__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__.update(self.__dict__)
        copy._cell, copy._index = Cell([arrays.copied(self.peek())]), 0
        changes.note()
        return copy

    def __getstate__(self):
        own = {k: v for k, v in self.__dict__.items() if k not in ("_cell", "_index")}
        own.pop("sharding", None)  # devices stay behind
        return own, placement.whole(self.peek())  # its own value, not those of the whole cell

    def __setstate__(self, state):
        own, value = state
        self.__dict__.update(own)
        self._cell, self._index = Cell([arrays.from_host(value, value.dtype)]), 0
        changes.note()

    def __getattr__(self, name: str) -> Any:
        # Methods of arrays (`v.astype`, `v.sum`, `v.at`): everything public that jax.Array has.
        if name.startswith("_") or not hasattr(jax.Array, name):
            raise AttributeError(f"'Variable' object has no attribute {name!r}")
        return getattr(self.value, name)


def _made(initializer, shape, dtype):
    value = initializer(shape, dtype=dtype)
    if not isinstance(value, jax.Array):
        value = arrays.from_host(value, dtypes.jax_dtype(dtype))
    return jnp.asarray(value, dtypes.jax_dtype(dtype))


def _operand(value, variable):
    value = _plain(value)
    return value if isinstance(value, jax.Array) else jnp.asarray(value, variable.dtype)


def _uncast(variable):
    with scopes.autocast(None):
        return variable.value


def _plain(x):
    return x.value if isinstance(x, Variable) else x


def _natural_dtype(value, path):
    if isinstance(value, Variable):
        return value.dtype
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        dtype = np.asarray(value).dtype
        if dtype.kind == "f":
            return None
        if dtype.kind in "iu":
            return "int32"
    if getattr(dtype, "kind", "") in "OSU":
        raise errors.bad_type(
            f"Variable {path!r}", "an initial value of numbers", f"dtype {np.dtype(dtype).name}"
        )
    return dtypes.standardize_dtype(dtype)


def _register_pytree(cls):
    jax.tree_util.register_pytree_node(
        cls, lambda v: ((v.value,), None), lambda _, children: children[0]
    )


_register_pytree(Variable)


def gather(variables):
    """Move the values of `variables` into one new cell and return it.

    Values that were handed out before are copied, so the cell's owner may donate all of them.
    """
    values = []
    for v in variables:
        value = v.peek()
        values.append(arrays.copied(value) if v._index in v._cell.escaped else value)
    cell = Cell(values)
    for index, v in enumerate(variables):
        v._cell.left = True
        v._cell, v._index = cell, index
    return cell
