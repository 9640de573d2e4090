"""RMSprop."""

import optax

from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient.

    ``v <- rho * v + (1 - rho) * g**2``, ``s = lr * g / sqrt(v + epsilon)``, ``w <- w - s``; with
    momentum ``m <- momentum * m + s`` and ``w <- w - m``; with `centered`, `v` less the squared
    running mean of the gradient.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        rho: float from 0 to 1, memory of the mean square.
        momentum: float from 0 to 1.
        epsilon: float that keeps the division finite.
        centered: whether to divide by the deviation from the mean gradient.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.RMSprop(learning_rate=0.1).apply([w.value], [w])
    >>> round(float(w[0]), 4)
    0.6838

    Source: Hinton, 2012,
    https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.
    """

    _last_slots = ("nu", "momentum", "mu")

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
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
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def transformation(self):
        scale = optax.scale_by_stddev if self.centered else optax.scale_by_rms
        scaled = scale(decay=self.rho, eps=self.epsilon)
        if not self.momentum:
            return scaled

        def update(g, slots, learning_rate, iteration):
            m = self.momentum * slots["momentum"] + learning_rate.astype(g.dtype) * g
            return m, {"momentum": m}

        return optax.chain(scaled, per_variable(lambda w: {"momentum": zeros(w)}, update))

    def combine(self, value, direction, learning_rate):
        # As in SGD, the learning rate is inside the momentum.
        return value - direction if self.momentum else value - learning_rate * direction
