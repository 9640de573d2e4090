"""Loss scaling that finds its factor by itself."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.optimizers import checks
from stepfit.optimizers.branch import branch
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.slots import SHARED


class LossScaleOptimizer(Optimizer):
    """Wraps an optimizer to keep float16 gradients from vanishing.

    `scale_loss` multiplies the loss by a factor and `apply` divides the gradients by it. Gradients
    that are not finite halve the factor and are dropped; after `dynamic_growth_steps` updates in a
    row the factor doubles.

    Args:
        inner_optimizer: the optimizer that makes the updates.
        initial_scale: first factor, a positive float.
        dynamic_growth_steps: int, good steps before the factor doubles.
        name: name.

    Raises:
        TypeError: `inner_optimizer` is no optimizer. ValueError: an option that belongs to it.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> inner = keras.optimizers.SGD(0.5)
    >>> optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
    >>> optimizer.apply([jnp.array([jnp.inf])], [w])
    >>> float(optimizer.dynamic_scale.value), float(w[0])
    (2.0, 1.0)

    Source: Micikevicius et al., 2017, https://arxiv.org/abs/1710.03740.
    """

    _untracked_names = Optimizer._untracked_names | {"inner_optimizer"}

    def __init__(self, inner_optimizer, initial_scale=2.0**15, dynamic_growth_steps=2000,
                 name=None, **kwargs):  # fmt: skip
        where = type(self).__name__
        if not isinstance(inner_optimizer, Optimizer):
            found = errors.describe(inner_optimizer)
            raise errors.bad_type(f"{where} inner_optimizer", "an optimizer", found)
        if not kwargs.pop("dynamic", True):
            raise errors.bad_value(f"{where} dynamic", "True", "False",
                                   "pass loss_scale_factor to the inner optimizer")  # fmt: skip
        for argument in kwargs:
            if argument in SHARED:
                raise errors.bad_value(f"{where} {argument}", "it on the inner optimizer",
                                       "it here", f"pass {argument} to that one")  # fmt: skip
            known = ("inner_optimizer", "initial_scale", "dynamic_growth_steps", "name")
            raise checks.unknown_argument(where, argument, known)
        if not initial_scale > 0:
            raise errors.bad_value(f"{where} initial_scale", "a positive float",
                                   errors.describe(initial_scale))  # fmt: skip
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # gradients must not be divided twice

    def build(self, variables):
        """Make the state for a list of Variables, the inner optimizer's included."""
        self._check_super_called()
        self.inner_optimizer.build(variables)
        if self.built:
            return
        self.step_counter = self.add_variable((), dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), lambda shape, dtype: self.initial_scale, "float32", name="dynamic_scale"
        )
        self._trainable_variables = self.inner_optimizer._trainable_variables
        self._index = self.inner_optimizer._index
        self.built = True

    def apply(self, grads, trainable_variables=None):
        """Update from scaled gradients, or lower the scale if some are not finite."""
        self._check_super_called()
        grads = list(grads)
        if not grads:
            return
        self._check_scaled()
        grads = self._align(grads, trainable_variables)
        scale = self.dynamic_scale.value
        if self._on_gradients is not None:
            self._on_gradients(self, grads, self._trainable_variables, scale)
        grads = [g if g is None else g / scale.astype(g.dtype) for g in grads]
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(g)) for g in grads if g is not None]))

        def good():
            self.inner_optimizer._apply_aligned(grads)
            grow = self.step_counter.value == self.dynamic_growth_steps - 1
            self.dynamic_scale.assign(jnp.where(grow, scale * 2, scale))
            self.step_counter.assign(jnp.where(grow, 0, self.step_counter.value + 1))

        def bad():
            self.dynamic_scale.assign(scale / 2)
            self.step_counter.assign(0)

        branch(finite, good, bad, [*self._trainable_variables, *self.variables])

    @property
    def variables(self):
        """The own state, then the inner optimizer's."""
        return [*self._variables, *self.inner_optimizer.variables]

    def save_own_variables(self, store):
        """Write the state into `store`, as Keras does; the inner one has a place of its own."""
        super().save_own_variables(store)
        inner: dict = {}
        self.inner_optimizer.save_own_variables(inner)
        store[str(len(self._variables))] = inner["0"]  # calls, where gradients are accumulated

    def load_own_variables(self, store):
        """Read the state from what `save_own_variables` wrote."""
        super().load_own_variables(store)
        self.inner_optimizer._split_calls()

    setattr(load_own_variables, "by_number", True)  # noqa: B010

    def _saved_variables(self):
        inner = self.inner_optimizer
        left_out = inner._not_in_wrappers() if inner.built else ()
        kept = [v for v in inner._saved_variables() if not any(v is x for x in left_out)]
        return [*self._variables, *kept]

    @property
    def iterations(self):
        """Variable (int32): the number of updates that the inner optimizer made."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self):
        """The inner optimizer's learning rate."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.inner_optimizer.learning_rate = value

    @property
    def version(self):
        """The inner optimizer's version."""
        return self.inner_optimizer.version

    def scale_loss(self, loss):
        """Return the loss times the current scale."""
        self._note_scaled()
        return loss * (self.dynamic_scale.value if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list):
        """Set Variables to the averages that the inner optimizer keeps, if it does."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exempt Variables from the inner optimizer's weight decay."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)
