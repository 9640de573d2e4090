"""FTRL."""

import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Ftrl(Optimizer):
    """Follow the regularized leader: for shallow models with many sparse features.

    ``n' = n + g**2``, ``s = (n'**-p - n**-p) / lr``, ``z <- z + g + 2 * shrinkage * w - s * w``,
    ``w <- (clip(z, -l1, l1) - z) / (n'**-p / lr + 2 * l2 + beta / lr)``, ``n <- n'``

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`; it must not be 0.
        learning_rate_power: float of at most 0, `p`; 0 for a learning rate that stays.
        initial_accumulator_value: non-negative float, first value of `n`.
        l1_regularization_strength, l2_regularization_strength,
            l2_shrinkage_regularization_strength: non-negative floats, `l1`, `l2` and `shrinkage`.
        beta: float, `beta`.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> optimizer = keras.optimizers.Ftrl(learning_rate=0.5, l1_regularization_strength=2.0)
    >>> optimizer.apply([w.value], [w])
    >>> float(w[0])
    0.0

    Source: McMahan et al., 2013, https://research.google.com/pubs/archive/41159.pdf.
    """

    def __init__(
        self,
        learning_rate=0.001,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
        l2_shrinkage_regularization_strength=0.0,
        beta=0.0,
        weight_decay=None,
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
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        not_negative = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for argument, value in not_negative.items():
            if not value >= 0:
                expected = "a float that is not negative"
                raise errors.bad_value(f"Ftrl {argument}", expected, errors.describe(value))
        if not learning_rate_power <= 0:
            found = errors.describe(learning_rate_power)
            raise errors.bad_value("Ftrl learning_rate_power", "a float of at most 0", found)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def transformation(self):
        l1, power = self.l1_regularization_strength, -self.learning_rate_power

        def init(w):
            first = np.full(w.shape, self.initial_accumulator_value, w.dtype)
            return {"accumulator": first, "linear": zeros(w)}

        def update(g, slots, learning_rate, iteration, w):
            rate = learning_rate.astype(g.dtype)
            n, z = slots["accumulator"], slots["linear"]
            total = n + jnp.square(g)
            leader = (total**power - n**power) / rate
            z = z + g + 2 * self.l2_shrinkage_regularization_strength * w - leader * w
            curvature = (total**power + self.beta) / rate + 2 * self.l2_regularization_strength
            new = (jnp.clip(z, -l1, l1) - z) / curvature
            return new, {"accumulator": total, "linear": z}

        return per_variable(init, update, sees_weight=True)

    def combine(self, value, direction, learning_rate):
        return direction  # the rule gives the weight itself
