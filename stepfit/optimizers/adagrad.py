"""Adagrad."""

import optax

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer


class Adagrad(Optimizer):
    """Steps scaled by the sum of all squared gradients so far.

    ``a <- a + g**2``, ``w <- w - lr * g / sqrt(a + epsilon)``

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        initial_accumulator_value: non-negative float, the sum's first value.
        epsilon: float that keeps the division finite.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adagrad(learning_rate=0.1).apply([w.value], [w])
    >>> round(float(w[0]), 4)
    0.9047

    Source: Duchi et al., 2011, https://www.jmlr.org/papers/v12/duchi11a.html.
    """

    def __init__(
        self,
        learning_rate=0.001,
        initial_accumulator_value=0.1,
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
        if not initial_accumulator_value >= 0:
            raise errors.bad_value(
                "Adagrad initial_accumulator_value", "a float that is not negative",
                errors.describe(initial_accumulator_value),
            )  # fmt: skip
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def transformation(self):
        return optax.scale_by_rss(self.initial_accumulator_value, eps=self.epsilon)
