"""Schedule-free AdamW."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class ScheduleFreeAdamW(Optimizer):
    """AdamW on a sequence `z` whose running average takes a schedule's place.

    ``v <- v + (1 - beta_2) (g**2 - v)``, ``z <- z - lr * g / (sqrt(v / (1 - beta_2**t)) +
    epsilon)``, ``x <- (1 - 1/t) x + z / t``, ``w = (1 - beta_1) z + beta_1 x`` at the t-th update.
    The weights are `w`, where the gradients are taken; `x` is found from `w` and `z`.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_1: float above 0, at most 1, share of the average in the weights.
        beta_2: float from 0 to 1, memory of the mean square.
        epsilon: float that keeps the division finite.
        warmup_steps: int, number of updates over which the learning rate grows from 0.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0, -2.0])
    >>> keras.optimizers.ScheduleFreeAdamW(learning_rate=0.5).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [0.5, -1.5]

    Source: Defazio et al., 2024, https://arxiv.org/abs/2405.15682.
    """

    def __init__(
        self,
        learning_rate=0.0025,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        warmup_steps=0,
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
                "ScheduleFreeAdamW beta_1", "a float above 0, at most 1", errors.describe(beta_1)
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def transformation(self):
        beta = self.beta_1

        def init(w):
            return {"momentum": jnp.copy(w), "velocity": zeros(w)}

        def update(g, slots, learning_rate, iteration, w):
            t = (iteration + 1).astype(jnp.float32)
            rate = learning_rate
            if self.warmup_steps:
                rate = rate * jnp.minimum(t / self.warmup_steps, 1.0)
            v = slots["velocity"] + (jnp.square(g) - slots["velocity"]) * (1 - self.beta_2)
            root = jnp.sqrt(v / (1 - self.beta_2**t).astype(g.dtype)) + self.epsilon
            old = slots["momentum"]
            z = old - rate.astype(g.dtype) * g / root
            x = (w - (1 - beta) * old) / beta
            share = (1 / t).astype(g.dtype)
            x = (1 - share) * x + share * z
            return (1 - beta) * z + beta * x, {"momentum": z, "velocity": v}

        return per_variable(init, update, sees_weight=True)

    def combine(self, value, direction, learning_rate):
        return direction  # the rule gives the weight itself
