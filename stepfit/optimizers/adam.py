"""Adam and AdamW."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


def by_moments(beta_1, beta_2, epsilon, amsgrad=False):
    """Return Adam's direction as a transformation; for the arguments, see `Adam`."""
    names = ["momentum", "velocity"] + ["velocity_hat"] * amsgrad

    def update(g, slots, learning_rate, iteration):
        t = (iteration + 1).astype(jnp.float32)
        correction = jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        m, v = slots["momentum"], slots["velocity"]
        m = m + (g - m) * (1 - beta_1)
        v = v + (jnp.square(g) - v) * (1 - beta_2)
        new = {"momentum": m, "velocity": v}
        if amsgrad:
            new["velocity_hat"] = v = jnp.maximum(slots["velocity_hat"], v)
        return correction.astype(g.dtype) * m / (jnp.sqrt(v) + epsilon), new

    return per_variable(lambda w: {name: zeros(w) for name in names}, update)


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    ``m <- m + (1 - beta_1) (g - m)``, ``v <- v + (1 - beta_2) (g**2 - v)``,
    ``w <- w - lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`` at the t-th
    update. (`epsilon` is added to the uncorrected ``sqrt(v)``, as in Keras; optax adds it to the
    corrected one.)

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        beta_1: float from 0 to 1, memory of the mean.
        beta_2: float from 0 to 1, memory of the mean square.
        epsilon: float that keeps the division finite.
        amsgrad: whether to divide by the largest `v` so far.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0, -2.0])
    >>> keras.optimizers.Adam(learning_rate=0.1).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [0.8999999761581421, -1.899999976158142]

    Source: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980; `amsgrad`: Reddi et al., 2018,
    https://openreview.net/forum?id=ryQu7f-RZ.
    """

    _last_slots = ("velocity_hat",)

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
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
        self.amsgrad = amsgrad

    def transformation(self):
        return by_moments(self.beta_1, self.beta_2, self.epsilon, self.amsgrad)


class AdamW(Adam):
    """Adam with decoupled weight decay: before each step ``w <- w - lr * weight_decay * w``.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        weight_decay: float; see also `exclude_from_weight_decay`.
        beta_1, beta_2, epsilon, amsgrad: as in `Adam`.
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range, or `weight_decay` None.

    Example:

    >>> import stepfit as keras
    >>> w = keras.Variable([1.0])
    >>> keras.optimizers.AdamW(learning_rate=0.1, weight_decay=0.5).apply([0 * w.value], [w])
    >>> round(float(w[0]), 4)
    0.95

    Source: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1711.05101.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
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
        if weight_decay is None:
            raise errors.bad_value(
                f"{type(self).__name__} weight_decay", "a float", "None", "use Adam for no decay"
            )
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue,
            global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
