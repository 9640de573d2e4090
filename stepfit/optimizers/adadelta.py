"""Adadelta."""

import optax

from stepfit.optimizers.optimizer import Optimizer


class Adadelta(Optimizer):
    """Steps scaled by running means of the squared gradient and of the squared step.

    ``a <- rho * a + (1 - rho) * g**2``, ``s = sqrt(d + epsilon) / sqrt(a + epsilon) * g``,
    ``d <- rho * d + (1 - rho) * s**2``, ``w <- w - lr * s``

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`; the paper has 1.0.
        rho: float from 0 to 1, memory of both means.
        epsilon: float that keeps the division finite, and sets the size of the first steps.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.Adadelta(learning_rate=1.0, epsilon=0.01).apply([w.value], [w])
    >>> round(float(w[0]), 4)
    0.5918

    Source: Zeiler, 2012, https://arxiv.org/abs/1212.5701.
    """

    _interleaved = True

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.95,
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
        self.rho = rho
        self.epsilon = epsilon

    def transformation(self):
        return optax.scale_by_adadelta(self.rho, self.epsilon)
