"""Adafactor."""

import jax.numpy as jnp
import numpy as np

from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


def _rms(x):
    return jnp.sqrt(jnp.mean(jnp.square(x)))


class Adafactor(Optimizer):
    """Steps scaled by a mean square of the gradient that is kept as a row and a column.

    ``w <- w - max(epsilon_2, rms(w)) * min(lr, 1 / sqrt(t)) * u / max(1, rms(u) / clip_threshold)``
    with ``u = g / sqrt(v)`` at the t-th update, where `v` is the running mean of
    ``g**2 + epsilon_1`` with memory ``1 - t**beta_2_decay``; for weights of two and more axes, the
    outer product of its means over the last and the last but one axis.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_2_decay: float below 0, how fast the memory grows.
        epsilon_1: float that keeps `v` above 0.
        epsilon_2: float, the least scale of a weight.
        clip_threshold: float, the largest root mean square of `u`.
        relative_step: kept for Keras's sake: the rate is at most ``1 / sqrt(t)`` with it or
            without it, as in Keras.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0, -3.0])
    >>> keras.optimizers.Adafactor(learning_rate=0.1).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [0.7760000228881836, -2.7760000228881836]

    Source: Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_2_decay=-0.8,
        epsilon_1=1e-30,
        epsilon_2=1e-3,
        clip_threshold=1.0,
        relative_step=True,
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
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def _not_in_wrappers(self):  # placeholders, for weights that are no matrices
        return [v for v in self.variables if not v.shape and "_means_" in v.name]

    def transformation(self):
        def init(w):
            if w.ndim < 2:  # Keras keeps two empty scalars there
                empty = np.zeros((), w.dtype)
                return {"means_1": empty, "means_2": empty, "velocity": zeros(w)}
            rows, columns = (*w.shape[:-1],), (*w.shape[:-2], w.shape[-1])
            means = {"means_1": np.zeros(rows, w.dtype), "means_2": np.zeros(columns, w.dtype)}
            return {**means, "velocity": zeros(w)}

        def update(g, slots, learning_rate, iteration, w):
            t = (iteration + 1).astype(jnp.float32)
            memory = (1 - t**self.beta_2_decay).astype(g.dtype)
            square = jnp.square(g) + self.epsilon_1
            new = dict(slots)
            if w.ndim < 2:
                v = memory * slots["velocity"] + (1 - memory) * square
            else:
                rows = memory * slots["means_1"] + (1 - memory) * square.mean(-1)
                columns = memory * slots["means_2"] + (1 - memory) * square.mean(-2)
                new |= {"means_1": rows, "means_2": columns}
                shares = rows / rows.mean(-1, keepdims=True)
                v = shares[..., :, None] * columns[..., None, :]
            new["velocity"] = v
            u = g / jnp.sqrt(v)
            u = u / jnp.maximum(1.0, _rms(u) / self.clip_threshold)
            rate = jnp.minimum(learning_rate, 1 / jnp.sqrt(t)).astype(g.dtype)
            return jnp.maximum(self.epsilon_2, _rms(w)) * rate * u, new

        return per_variable(init, update, sees_weight=True)

    def combine(self, value, direction, learning_rate):
        return value - direction  # the learning rate is inside its minimum
