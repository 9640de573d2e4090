"""Nadam."""

import jax.numpy as jnp
import numpy as np
import optax

from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Nadam(Optimizer):
    """Adam with Nesterov momentum, whose share grows from step to step.

    ``m <- m + (1 - beta_1) (g - m)``, ``v <- v + (1 - beta_2) (g**2 - v)``,
    ``w <- w - lr * n / (sqrt(v / (1 - beta_2**t)) + epsilon)`` at the t-th update, where
    ``u(t) = beta_1 (1 - 0.96**t / 2)``, `p` is the product of ``u(1) ... u(t)``, and
    ``n = u(t + 1) * m / (1 - p * u(t + 1)) + (1 - u(t)) * g / (1 - p)``.

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
    >>> w = keras.Variable([1.0, -2.0])
    >>> keras.optimizers.Nadam(learning_rate=0.5).apply([w.value], [w])
    >>> w.numpy().round(3).tolist()
    [0.4690000116825104, -1.468999981880188]

    Source: Dozat, 2016, https://cs229.stanford.edu/proj2015/054_report.pdf.
    """

    _last_slots = ("u_product",)

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

    def _not_in_wrappers(self):
        return [self._state.find("u_product")]

    def transformation(self):
        def share(t):
            return self.beta_1 * (1 - 0.5 * 0.96**t)

        def moments(product):
            def update(g, slots, learning_rate, iteration):
                t = (iteration + 1).astype(jnp.float32)
                m = slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1)
                v = slots["velocity"] + (jnp.square(g) - slots["velocity"]) * (1 - self.beta_2)
                old = (share(t + 1) / (1 - product * share(t + 1))).astype(g.dtype)
                new = ((1 - share(t)) / (1 - product)).astype(g.dtype)
                root = jnp.sqrt(v / (1 - self.beta_2**t).astype(g.dtype))
                direction = (old * m + new * g) / (root + self.epsilon)
                return direction, {"momentum": m, "velocity": v}

            return per_variable(lambda w: {"momentum": zeros(w), "velocity": zeros(w)}, update)

        def init(params):
            return {"moments": moments(None).init(params), "u_product": np.ones((), "float32")}

        def update(gradients, state, params=None, *, iteration, **extra):
            product = state["u_product"] * share((iteration + 1).astype(jnp.float32))
            directions, slots = moments(product).update(
                gradients, state["moments"], params, iteration=iteration, **extra
            )
            return directions, {"moments": slots, "u_product": product}

        return optax.GradientTransformationExtraArgs(init, update)
