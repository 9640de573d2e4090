"""Stochastic gradient descent."""

import optax

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class SGD(Optimizer):
    """Gradient descent, with or without momentum.

    ``w <- w - lr * g``; with momentum ``m <- momentum * m - lr * g`` and ``w <- w + m``, or with
    `nesterov` ``w <- w + momentum * m - lr * g``.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        momentum: float from 0 to 1.
        nesterov: whether to look ahead along the momentum.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.apply([w.value], [w])
    >>> round(float(w[0]), 4)
    0.72

    Source: Sutskever et al., 2013, https://proceedings.mlr.press/v28/sutskever13.html.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
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
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise errors.bad_value("SGD momentum", "a float from 0 to 1", errors.describe(momentum))
        self.momentum = momentum
        self.nesterov = nesterov

    def transformation(self):
        if not self.momentum:
            return optax.identity()

        def update(g, slots, learning_rate, iteration):
            step = learning_rate.astype(g.dtype) * g
            m = self.momentum * slots["momentum"] - step
            return step - self.momentum * m if self.nesterov else -m, {"momentum": m}

        return per_variable(lambda w: {"momentum": zeros(w)}, update)

    def combine(self, value, direction, learning_rate):
        # Keras keeps the learning rate inside the momentum, which shows when the rate changes.
        return value - direction if self.momentum else value - learning_rate * direction
