"""Any optax transformation as an optimizer."""

import optax

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer


def is_transformation(x):
    """Say whether `x` has optax's interface: functions `init` and `update`, and is no optimizer."""
    return not isinstance(x, (type, Optimizer)) and (
        callable(getattr(x, "init", None)) and callable(getattr(x, "update", None))
    )


class OptaxOptimizer(Optimizer):
    """Lets an optax transformation update the weights: ``w <- w + update(g)``.

    The learning rate (and weight decay) are part of the transformation. With
    ``optax.inject_hyperparams`` around it, `learning_rate` can be read and assigned. The
    transformation sees the weights as a dict from path ("dense/kernel") to array, so masks and
    labels can go by path.

    Args:
        tx: optax.GradientTransformation.
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency,
            loss_scale_factor, gradient_accumulation_steps, name: as in `Optimizer`.

    Raises:
        TypeError: not a transformation.

    Example:

    >>> import optax, stepfit as keras
    >>> w = keras.Variable([1.0, -1.0])
    >>> optimizer = keras.optimizers.OptaxOptimizer(optax.sgd(0.25))
    >>> optimizer.apply([w.value], [w])
    >>> w.numpy()
    array([ 0.75, -0.75], dtype=float32)
    """

    def __init__(
        self,
        tx,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        **kwargs,
    ):
        if not is_transformation(tx):
            raise errors.bad_type(
                "OptaxOptimizer tx", "an optax.GradientTransformation", errors.describe(tx),
                "call optax's function, as in optax.adam(1e-3)",
            )  # fmt: skip
        inside = {"learning_rate": "optax.adam(1e-3)", "weight_decay": "optax.adamw(1e-3)"}
        for argument in inside.keys() & kwargs.keys():
            raise errors.bad_value(
                f"OptaxOptimizer {argument}", "it inside the transformation", "it beside",
                f"write it there, as in {inside[argument]}",
            )  # fmt: skip
        super().__init__(
            None, None, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
            **kwargs,
        )  # fmt: skip
        self.tx = tx

    def transformation(self):
        return optax.GradientTransformationExtraArgs(self.tx.init, self._update_tx)

    def _update_tx(self, updates, state, params=None, **unused):
        return self.tx.update(updates, state, params)

    def combine(self, value, direction, learning_rate):
        return value + direction

    @property
    def learning_rate(self):
        """The learning rate of ``optax.inject_hyperparams``, a Variable."""
        return self._injected()

    @learning_rate.setter
    def learning_rate(self, value):
        self._injected().assign(value)

    def _injected(self):
        found = self._state.find("hyperparams", "learning_rate") if self._state else None
        if found is None:
            raise errors.StepfitAttributeError(
                "OptaxOptimizer.learning_rate: expected a built optimizer made with "
                "optax.inject_hyperparams, found the learning rate inside the transformation; "
                "write optax.inject_hyperparams(optax.adam)(learning_rate=...) to read and assign "
                "it."
            )
        return found

    def get_config(self):
        """Refuse: a transformation is made of functions, which a config cannot hold."""
        raise errors.bad_type(
            "OptaxOptimizer.get_config()", "an optimizer that a config can describe",
            "an optax transformation, made of functions",
            "make the OptaxOptimizer anew and compile with it after loading",
        )  # fmt: skip
