"""Muon."""

import re

import jax.numpy as jnp
import optax

from stepfit.optimizers.adam import by_moments
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.state import zeros
from stepfit.optimizers.transformations import per_variable


class Muon(Optimizer):
    """Steps along the momentum made orthogonal, for matrices; AdamW for all else.

    ``m <- momentum * m + g``, ``w <- w - lr * rms_rate * sqrt(max(w.shape)) * O(g + momentum * m)``
    where `O` sets the singular values of a matrix to about 1, by `ns_steps` rounds of
    ``x <- a x + (b x x' + c (x x')**2) x``. Weights that have not two axes, embeddings and what
    `exclude_layers` names are updated by Adam, with decoupled weight decay.

    Args:
        learning_rate: float, schedule or callable, as in `Optimizer`.
        adam_beta_1, adam_beta_2, epsilon: as in `Adam`, for what Adam updates.
        adam_weight_decay: float or None, weight decay of what Adam updates.
        exclude_layers: list of regular expressions; Adam updates Variables whose path has one.
        exclude_embeddings: whether Adam updates Variables with "embedding" in the path.
        muon_a, muon_b, muon_c: floats, the coefficients `a`, `b` and `c`.
        adam_lr_ratio: float, Adam's learning rate as a multiple of `learning_rate`.
        momentum: float from 0 to 1.
        ns_steps: int, number of rounds.
        nesterov: whether to look ahead; else ``O(m)``.
        rms_rate: float, size of a step's elements; None: the steps are ``lr * O(...)``.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name: as in
            `Optimizer`.

    Raises:
        ValueError: an argument out of range.

    Example:

    >>> import stepfit as keras
    >>> kernel = keras.Variable([[3.0, 0.0], [0.0, 0.1]], name="kernel")
    >>> optimizer = keras.optimizers.Muon(learning_rate=1.0, weight_decay=None)
    >>> optimizer.apply([kernel.value], [kernel])
    >>> kernel.numpy().round(1).tolist()
    [[2.799999952316284, 0.0], [0.0, -0.20000000298023224]]

    Source: Jordan, 2024, https://kellerjordan.github.io/posts/muon; `rms_rate`: Liu et al., 2025,
    https://arxiv.org/abs/2502.16982.
    """

    _interleaved = True

    def __init__(
        self,
        learning_rate=0.001,
        adam_beta_1=0.9,
        adam_beta_2=0.999,
        adam_weight_decay=0.004,
        epsilon=1e-7,
        weight_decay=0.004,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        exclude_layers=None,
        exclude_embeddings=True,
        muon_a=3.4445,
        muon_b=-4.7750,
        muon_c=2.0315,
        adam_lr_ratio=1,
        momentum=0.95,
        ns_steps=5,
        nesterov=True,
        rms_rate=0.2,
        **kwargs,
    ):
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        self.exclude_layers = exclude_layers or []
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _current_config(self):
        return {"exclude_layers": self.exclude_layers}

    def transformation(self):
        adam = by_moments(self.adam_beta_1, self.adam_beta_2, self.epsilon)
        return optax.partition(
            {
                "adam": optax.chain(adam, optax.scale(self.adam_lr_ratio)),
                "muon": per_variable(lambda w: {"momentum": zeros(w)}, self._orthogonal_step),
            },
            lambda params: {
                path: "adam" if self._uses_adam(path, w.ndim) else "muon"
                for path, w in params.items()
            },
        )

    def _orthogonal_step(self, g, slots, learning_rate, iteration):
        m = g + self.momentum * slots["momentum"]
        step = self._orthogonalize(g + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            step = step * (max(g.shape) ** 0.5 * self.rms_rate)
        return step, {"momentum": m}

    def _orthogonalize(self, x):
        """Return a matrix with the singular vectors of `x` and singular values of about 1."""
        if x.shape[0] > x.shape[1]:
            return self._orthogonalize(x.T).T
        x = x / (jnp.linalg.norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T
            x = self.muon_a * x + (self.muon_b * square + self.muon_c * square @ square) @ x
        return x

    def _uses_adam(self, path, axes):
        excluded = self.exclude_embeddings and "embedding" in path.lower()
        return axes != 2 or excluded or any(re.search(e, path) for e in self.exclude_layers)

    def _decay_of(self, variable):
        adam = self._uses_adam(variable.path, len(variable.shape))
        return self.adam_weight_decay if adam else self.weight_decay
