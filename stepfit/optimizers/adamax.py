"""Adamax."""

import jax.numpy as jnp

from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the mean square.

    ``m <- m + (1 - beta_1) (g - m)``, ``u <- max(beta_2 * u, |g|)``,
    ``w <- w - lr / (1 - beta_1**t) * m / (u + epsilon)`` at the t-th update.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_1: float from 0 to 1, memory of the mean.
        beta_2: float from 0 to 1, memory of the largest gradient.
        epsilon: float that keeps the division finite.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0, -2.0])
    >>> keras.optimizers.Adamax(learning_rate=0.5).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [0.5, -1.5]

    Source: Kingma and Ba, 2014, section 7.1, https://arxiv.org/abs/1412.6980.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def transformation(self):
        def update(g, slots, learning_rate, iteration):
            m = slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1)
            u = jnp.maximum(self.beta_2 * slots["norm"], jnp.abs(g))
            correction = 1 - self.beta_1 ** (iteration + 1).astype(jnp.float32)
            direction = m / (correction.astype(g.dtype) * (u + self.epsilon))
            return direction, {"momentum": m, "norm": u}

        return per_variable(lambda w: {"momentum": zeros(w), "norm": zeros(w)}, update)
