"""Lion."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Lion(Optimizer):
    """Steps of one size along the sign of a mixture of momentum and gradient.

    ``w <- w - lr * sign(beta_1 * m + (1 - beta_1) * g)``, ``m <- beta_2 * m + (1 - beta_2) * g``

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_1: float above 0, at most 1; share of the momentum in the step.
        beta_2: float from 0 to 1; memory of the momentum.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0, -3.0])
    >>> keras.optimizers.Lion(learning_rate=0.5).apply([w.value], [w])
    >>> w.numpy()
    array([ 0.5, -2.5], dtype=float32)

    Source: Chen et al., 2023, https://arxiv.org/abs/2302.06675.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.99,
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
        if not 0 < beta_1 <= 1:
            raise errors.bad_value(
                "Lion beta_1", "a float above 0, at most 1", errors.describe(beta_1),
                "for sign descent without momentum use optax.sign_sgd",
            )  # fmt: skip
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def transformation(self):
        def update(g, slots, learning_rate, iteration):
            m = slots["momentum"]
            direction = jnp.sign(self.beta_1 * m + (1 - self.beta_1) * g)
            return direction, {"momentum": self.beta_2 * m + (1 - self.beta_2) * g}

        return per_variable(lambda w: {"momentum": zeros(w)}, update)
