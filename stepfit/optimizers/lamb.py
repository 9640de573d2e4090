"""LAMB."""

import jax.numpy as jnp
import optax

from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Lamb(Optimizer):
    """Adam whose step is as long as the learning rate times the weight, for large batches.

    ``u = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)`` with Adam's `m` and `v`,
    ``w <- w - lr * |w| / |u| * u`` at the t-th update, with norms over each Variable; where one of
    them is 0, ``w <- w - lr * u``.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_1: float from 0 to 1, memory of the mean.
        beta_2: float from 0 to 1, memory of the mean square.
        epsilon: float that keeps the division finite.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([3.0, -4.0])
    >>> keras.optimizers.Lamb(learning_rate=0.2).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [2.2929999828338623, -3.2929999828338623]

    Source: You et al., 2019, https://arxiv.org/abs/1904.00962.
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
            t = (iteration + 1).astype(jnp.float32)
            m = slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1)
            v = slots["velocity"] + (jnp.square(g) - slots["velocity"]) * (1 - self.beta_2)
            mean = m / (1 - self.beta_1**t).astype(g.dtype)
            square = v / (1 - self.beta_2**t).astype(g.dtype)
            return mean / (jnp.sqrt(square) + self.epsilon), {"momentum": m, "velocity": v}

        moments = per_variable(lambda w: {"momentum": zeros(w), "velocity": zeros(w)}, update)
        return optax.chain(moments, optax.scale_by_trust_ratio())
