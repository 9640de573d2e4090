"""What an optimizer owns: its Variables, its learning rate, its config."""

import inspect
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from stepfit import initializers
from stepfit.core import errors, naming, registry
from stepfit.core.tracking import Tracked
from stepfit.core.variable import Variable
from stepfit.optimizers import learning_rate as rates

SHARED = (
    "learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema",
    "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
    "gradient_accumulation_steps", "name",
)  # fmt: skip


class OptimizerState(Tracked, registry.Configurable):
    """The state of an optimizer, and the methods with which subclasses make and change it."""

    _untracked_names = frozenset({"_trainable_variables", "_init_arguments", "_index",
                                  "_not_decayed"})  # fmt: skip
    _unwatched_names = frozenset({"_variables"})
    built = False

    if not TYPE_CHECKING:  # to a type checker, every name would be there

        def __getattr__(self, name):
            errors.check_not_old(lambda: f"optimizer {self.name!r}", name)
            return object.__getattribute__(self, name)

    def _make_state(self, learning_rate, name):
        """Make what every optimizer has: a name, `iterations`, and a learning rate."""
        where = type(self).__name__
        self.name = naming.check_name(name, where) if name else naming.auto_name(where)
        self._version = 0
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._index: dict[int, int] = {}
        self._iterations = self.add_variable((), dtype="int32", name="iteration")
        self._learning_rate: Any = rates.standardize(learning_rate, f"{where} learning_rate")
        if not (learning_rate is None or callable(learning_rate)):
            value = self._learning_rate
            self._learning_rate = self.add_variable(
                (), lambda shape, dtype: value, name="learning_rate"
            )

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._index = {id(v): i for i, v in enumerate(self._trainable_variables)}

    # -- reading ---------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's state, a flat list of Variables that begins with `iterations`."""
        return list(self._variables)

    @property
    def iterations(self) -> Variable:
        """Variable (int32): the number of updates made."""
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate now: a Variable, or what the schedule or callable gives."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return rates.evaluate(self._learning_rate, self._iterations.value)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        value = rates.standardize(value, f"{type(self).__name__}.learning_rate")
        if callable(value) and not isinstance(value, Variable):
            dropped = self._learning_rate
            self._variables = [v for v in self._variables if v is not dropped]
            self._learning_rate = value
            self._version += 1
        elif isinstance(self._learning_rate, Variable):
            self._learning_rate.assign(value)
        else:
            where = f"{type(self).__name__}.learning_rate"
            raise errors.bad_type(
                where, "a schedule or callable, like the one it has",
                errors.describe(value),
                "create the optimizer with a float learning_rate to assign floats",
            )  # fmt: skip

    @property
    def lr(self):
        """Not a name of the learning rate; says so."""
        raise errors.StepfitAttributeError(
            f"{type(self).__name__}: expected the attribute 'learning_rate', found 'lr'; write "
            "optimizer.learning_rate."
        )

    @lr.setter
    def lr(self, value):
        return self.lr

    @property
    def version(self):
        """A number that grows when compiled steps that use this optimizer go out of date."""
        return self._version

    # -- making and changing state ---------------------------------------------------------------

    def add_variable(self, shape, initializer="zeros", dtype=None, aggregation="none", layout=None,
                     name=None, *, reference=None):  # fmt: skip
        """Make a Variable that belongs to the optimizer's state, and return it.

        Args:
            shape, initializer, dtype, aggregation, name: as for `Variable`.
            layout: accepted for Keras's signature; where it lies follows from `reference`.
            reference: the weight that it belongs to: a distribution spreads both alike.
        """
        self._check_super_called()
        with naming.name_scope(self.name):
            variable = Variable(initializers.get(initializer), shape=shape, dtype=dtype,
                                trainable=False, autocast=False, aggregation=aggregation,
                                name=name, _reference=reference)  # fmt: skip
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        """Make a Variable of the shape and dtype of another one, and return it."""
        name = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(
            reference_variable.shape, initializer, reference_variable.dtype, name=name,
            reference=reference_variable,
        )  # fmt: skip

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        """Make one Variable per trainable variable (one list per name, if given several names)."""
        names = [name] if isinstance(name, str) else list(name)
        shared = isinstance(initializer, str) or callable(initializer)
        given = [initializer] * len(names) if shared else list(initializer)
        made = [
            [self.add_variable_from_reference(v, n, i) for n, i in zip(names, given, strict=True)]
            for v in trainable_variables
        ]
        columns = [[row[k] for row in made] for k in range(len(names))]
        return columns[0] if isinstance(name, str) else tuple(columns)

    def assign(self, variable, value):
        """Set a variable's value."""
        variable.assign(value)

    def assign_add(self, variable, value):
        """Add to a variable's value."""
        variable.assign_add(value)

    def assign_sub(self, variable, value):
        """Subtract from a variable's value."""
        variable.assign_sub(value)

    def _add_from_value(self, value, name, reference=None):
        shape, dtype = jnp.shape(value), jnp.result_type(value).name
        return self.add_variable(
            shape, lambda s, dtype: value, dtype, name=name, reference=reference
        )

    def set_weights(self, weights):
        """Set the state from a list of arrays in the order of `variables`."""
        self._set_state(self.variables, list(weights))

    def save_own_variables(self, store):
        """Write the state into `store`, a mapping from "0", "1", ... to arrays.

        Where gradients are accumulated, it is as in Keras: one number counts the calls of `apply`.
        """
        for i, variable in enumerate(self._saved_variables()):
            store[str(i)] = variable.numpy()
        if self._accumulates:
            calls = int(self._iterations) * self.gradient_accumulation_steps
            store["0"] = np.asarray(calls + int(self._accumulation_step), "int32")

    def load_own_variables(self, store):
        """Read the state from what `save_own_variables` wrote.

        Raises:
            ValueError: another number of arrays, or an array of another shape.
        """
        variables = self._saved_variables()
        self._set_state(variables, [store[str(i)] for i in range(len(store))])
        self._split_calls()

    def _split_calls(self):
        """Go from a number of calls of `apply`, as in files, to updates and steps of the next."""
        if self._accumulates:
            done, step = divmod(int(self._iterations), self.gradient_accumulation_steps)
            self._iterations.assign(done)
            self._accumulation_step.assign(step)

    def _set_state(self, variables, values):
        if len(values) != len(variables):
            raise errors.bad_value(
                f"state of optimizer {self.name!r}", f"{len(variables)} arrays",
                f"{len(values)}",
                None if self.built else "call optimizer.build(model.trainable_variables) first",
            )  # fmt: skip
        values = [v.conform(value) for v, value in zip(variables, values, strict=True)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    setattr(load_own_variables, "by_number", True)  # noqa: B010
    gradient_accumulation_steps: Any
    _accumulation_step: Variable

    @property
    def _accumulates(self):
        return "_accumulation_step" in self.__dict__

    def _saved_variables(self):
        counter = self.__dict__.get("_accumulation_step")
        return [v for v in self.variables if v is not counter]

    def _not_in_wrappers(self):
        """Return the variables that Keras leaves out of the state of a `LossScaleOptimizer`."""
        return []

    def _get_variable_index(self, variable):
        return self._index[id(variable)]

    def _check_super_called(self):
        if "_variables" not in self.__dict__:
            raise errors.StepfitRuntimeError(
                f"{type(self).__name__}: expected super().__init__() before anything else in "
                "__init__, found no call; add super().__init__(learning_rate=...)."
            )

    # -- config ------------------------------------------------------------------------------------

    def get_config(self):
        """Return the constructor's arguments, with the name and the learning rate of now."""
        config = super().get_config()
        named = inspect.signature(type(self).__init__).parameters
        for name in SHARED:
            if name in named or name in config:
                value = self._learning_rate if name == "learning_rate" else getattr(self, name)
                if isinstance(value, Variable):
                    value = float(value.numpy())
                config[name] = registry.serialize(value)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build an optimizer from `get_config`'s result; its state is not part of the config."""
        rate = config.get("learning_rate")
        if isinstance(rate, str):
            found = registry.get_registered_object(rate, custom_objects)
            if found is None:
                raise errors.bad_value(
                    f"{cls.__name__} config learning_rate", "a registered function", repr(rate),
                    "decorate it with @keras.saving.register_keras_serializable()",
                )  # fmt: skip
            config = {**config, "learning_rate": found}
        return super().from_config(config, custom_objects)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"
