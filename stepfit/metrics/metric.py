"""Metric: a number that is gathered over many batches.

A metric keeps its running sums in Variables. `update_state` adds a batch to them, `result` turns
them into the number, `reset_state` starts again. The state can be merged: the sums of two halves of
the data add up to the sums of the whole (`merge_state`). The three `stateless_*` functions do the
same on arrays that are passed in and returned, for code under `jax.jit`.
"""

import functools
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from stepfit import initializers
from stepfit.core import arrays, config, dtypes, errors, naming, registry
from stepfit.core.scope import Scope
from stepfit.core.tracking import Tracked, children
from stepfit.core.variable import Variable

INITIAL = "_initial_value"  # the attribute of a Variable that `reset_state` goes back to


class Metric(registry.Configurable, Tracked):
    """Base of metrics: subclasses give `__init__`, `update_state` and `result`.

    Args:
        dtype: dtype (or policy) of the metric's arithmetic; default `config.floatx()`.
        name: name in logs; default the class's, in snake case.

    Example:

    >>> import stepfit as keras
    >>> class Hits(keras.Metric):
    ...     def __init__(self, name="hits", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.count = self.add_variable(shape=(), initializer="zeros", name="count")
    ...
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.count.assign_add(keras.ops.sum(keras.ops.equal(y_true, y_pred)))
    ...
    ...     def result(self):
    ...         return self.count
    >>> metric = Hits()
    >>> metric.update_state([1, 2, 3], [1, 2, 4])
    >>> metric.update_state([5], [5])
    >>> float(metric.result())
    3.0
    """

    _untracked_names = frozenset({"_init_arguments"})
    _unwatched_names = frozenset({"_variables"})
    _direction: str | None = None  # "up" or "down": which is better, for callbacks

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "result" in vars(cls):
            setattr(cls, "result", _with_values(cls.result))  # noqa: B010

    def __init__(self, dtype: Any = None, name: str | None = None):
        self.name = name or naming.auto_name(type(self).__name__)
        self._dtype = dtypes.get_policy(dtype or config.floatx()).compute_dtype
        self._variables: list[Variable] = []

    @property
    def dtype(self):
        """Name of the dtype of the metric's arithmetic."""
        return self._dtype

    @property
    def _where(self):
        return f'metric "{self.name}"'

    # -- state -------------------------------------------------------------------------------------

    @errors.shape_first
    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a Variable that is part of the metric's state.

        Args:
            shape: tuple of ints.
            initializer: name, initializer or value at the start and after `reset_state`.
            dtype: dtype name; default `config.floatx()`.
            aggregation: "sum" if states are merged by adding (the default), else accepted for
                Keras's signature.
            name: name of the Variable.

        Returns:
            The Variable (not trainable).
        """
        self._check_super_called("add_variable")
        if initializer is None:
            initializer = "zeros"
        with naming.name_scope(self.name.replace("/", ">")):
            variable = Variable(
                initializers.get(initializer) if isinstance(initializer, str) else initializer,
                shape=tuple(shape) if isinstance(shape, list) else shape,
                dtype=dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._variables.append(variable)
        setattr(variable, INITIAL, np.array(variable.peek()))
        return variable

    @errors.shape_first
    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a Variable; the older name of `add_variable`."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The metric's Variables: its own, then those of metrics it holds."""
        self._check_super_called("variables")
        held = children(self)
        found = [v for v in held if isinstance(v, Variable)]
        for metric in held:
            if isinstance(metric, Metric):
                found += [v for v in metric.variables if not any(v is seen for seen in found)]
        return found

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add one batch to the state."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state(self, ...)")

    def result(self) -> Any:
        """Return the metric's value over everything since the last reset: a scalar or a dict."""
        raise NotImplementedError(f"{type(self).__name__} must define result(self)")

    def reset_state(self) -> None:
        """Give every Variable the value it had at the start."""
        for variable in self.variables:
            variable.assign(_initial(variable))

    def merge_state(self, metrics: "Iterable[Metric]") -> None:
        """Add the states of other metrics of the same kind to this one.

        Args:
            metrics: metrics with Variables of the same shapes, updated on other batches.

        Raises:
            ValueError: other Variables, or Variables whose states do not merge by adding.

        >>> import stepfit as keras
        >>> one, two = keras.metrics.Mean(), keras.metrics.Mean()
        >>> one.update_state([1.0, 2.0]); two.update_state([6.0])
        >>> one.merge_state([two])
        >>> float(one.result())
        3.0
        """
        mine = self.variables
        if any(v.aggregation != "sum" for v in mine):
            raise errors.bad_value(
                f"{self._where}: merge_state", 'variables with aggregation "sum"',
                "a variable with another one", "define merge_state for this metric",
            )  # fmt: skip
        for metric in metrics:
            theirs = metric.variables
            if [v.shape for v in mine] != [v.shape for v in theirs]:
                raise errors.bad_value(
                    f"{self._where}: merge_state",
                    f"variables of shapes {[v.shape for v in mine]}",
                    f"{[v.shape for v in theirs]} in {metric._where}",
                )
            for variable, other in zip(mine, theirs, strict=True):
                variable.assign_add(other.value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add one batch and return the value so far."""
        self._check_super_called("__call__")
        self.update_state(*args, **kwargs)
        return self.result()

    # -- the same on arrays passed in and returned -------------------------------------------------

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Return the state after `update_state(*args, **kwargs)` from the state given.

        Args:
            metric_variables: values of `self.variables`, in that order.

        Returns:
            List of arrays.

        Raises:
            ValueError: wrong number or shapes of values.

        >>> import stepfit as keras
        >>> mean = keras.metrics.Mean()
        >>> state = mean.stateless_update_state(mean.stateless_reset_state(), [1.0, 2.0])
        >>> float(mean.stateless_result(state))
        1.5
        """
        with self._scope("stateless_update_state", metric_variables):
            self.update_state(*args, **kwargs)
            return [v.value for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Return `result()` for the state given."""
        with self._scope("stateless_result", metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """Return the state at the start as a list of arrays."""
        with Scope():
            self.reset_state()
            return [v.value for v in self.variables]

    def _scope(self, call, values):
        variables, values = self.variables, list(values)
        if len(variables) != len(values):
            names = ", ".join(v.name for v in variables)
            raise errors.StepfitValueError(
                f"{self._where}: {call} expected {len(variables)} metric variables ({names}), "
                f"found {len(values)}; pass the values of metric.variables, or "
                "stateless_reset_state()."
            )
        return Scope(zip(variables, values, strict=True))

    # -- names and config --------------------------------------------------------------------------

    def _check_super_called(self, call):
        if "_variables" not in vars(self):
            raise errors.StepfitRuntimeError(
                f"{type(self).__name__}: expected super().__init__(name=name) to run before "
                f"{call}, found that it did not; call it first in __init__."
            )

    def _current_config(self):
        parameters = inspect.signature(type(self).__init__).parameters
        kinds = {p.kind for p in parameters.values()}
        takes_any = inspect.Parameter.VAR_KEYWORD in kinds
        return {"name": self.name} if takes_any or "name" in parameters else {}

    @property
    def reset_states(self):
        """Not there: Keras 3 calls it `reset_state`."""
        raise errors.StepfitAttributeError(
            f"{self._where}: expected reset_state(), found reset_states(), its name in Keras 2; "
            "write reset_state()."
        )

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


def _initial(variable):
    """Return the value at the start, on the device: sent there once, however often it is needed."""
    value = getattr(variable, INITIAL, None)
    if not isinstance(value, jax.Array):
        value = np.zeros(variable.shape) if value is None else value
        with jax.ensure_compile_time_eval():
            value = arrays.from_host(value, dtypes.jax_dtype(variable.dtype))
        setattr(variable, INITIAL, value)
    return value


def _with_values(result):
    """Return `result` made to give values where it gives Variables: what it returns may leave the
    scope in which a Variable has its value."""

    @functools.wraps(result)
    def wrapper(self):
        return jax.tree.map(lambda value: value, result(self))

    return wrapper
