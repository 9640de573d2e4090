"""Constraints: projections applied to a weight after each update."""

from typing import TYPE_CHECKING

import jax.numpy as jnp

from stepfit.core import config, errors, registry

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]  # fmt: skip


class Constraint(registry.Configurable):
    """Base of constraints: subclasses implement ``__call__(w) -> projected w``.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> class Centre(keras.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return w - jnp.mean(w)
    >>> Centre()(jnp.array([1.0, 3.0]))
    Array([-1.,  1.], dtype=float32)
    """

    def __init__(self):
        super().__init__()

    def __call__(self, w):
        """Return `w` projected; the base returns it as it is."""
        return w


class MaxNorm(Constraint):
    """Keep norms at or below a bound: ``w * clip(norm, 0, max_value) / (epsilon + norm)``.

    Args:
        max_value: the bound, a float.
        axis: int or list of ints, the axes a norm is taken over: 0 for a Dense kernel
            ``[inputs, units]``, ``[0, 1, 2]`` for a Conv2D kernel ``[h, w, inputs, filters]``.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> w = keras.constraints.MaxNorm(2.5)(jnp.array([[3.0, 0.0], [4.0, 0.5]]))
    >>> jnp.round(w, 2)
    Array([[1.5, 0. ],
           [2. , 0.5]], dtype=float32)

    Source: Srivastava et al., 2014, https://www.jmlr.org/papers/v15/srivastava14a.html.
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w):
        w, norms = _norms(w, self.axis)
        return w * (jnp.clip(norms, 0, self.max_value) / (config.epsilon() + norms))


class MinMaxNorm(Constraint):
    """Move norms into an interval.

    ``w * (rate * clip(norm, min_value, max_value) + (1 - rate) * norm) / (epsilon + norm)``

    Args:
        min_value: lower bound, a float.
        max_value: upper bound, a float.
        rate: how far to go at each update, from 0 (not at all) to 1 (at once).
        axis: int or list of ints, the axes a norm is taken over.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> w = keras.constraints.MinMaxNorm(1.0, 2.0)(jnp.array([[0.1], [0.0]]))
    >>> jnp.round(w, 2)
    Array([[1.],
           [0.]], dtype=float32)
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w):
        w, norms = _norms(w, self.axis)
        clipped = jnp.clip(norms, self.min_value, self.max_value)
        desired = self.rate * clipped + (1 - self.rate) * norms
        return w * (desired / (config.epsilon() + norms))


class NonNeg(Constraint):
    """Set negative weights to zero: ``max(w, 0)``.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> keras.constraints.NonNeg()(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    def __call__(self, w):
        return jnp.maximum(jnp.asarray(w), 0)


class UnitNorm(Constraint):
    """Scale to norm one: ``w / (epsilon + norm)``.

    Args:
        axis: int or list of ints, the axes a norm is taken over.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> jnp.round(keras.constraints.UnitNorm(axis=1)(jnp.array([[4.0, 0.0], [0.0, 5.0]])), 2)
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        w, norms = _norms(w, self.axis)
        return w / (config.epsilon() + norms)


def _norms(w, axis):
    """Return `w` as an array and its norms over `axis`, kept as axes of size 1."""
    w = jnp.asarray(w)
    axis = tuple(axis) if isinstance(axis, list) else axis
    return w, jnp.sqrt(jnp.sum(jnp.square(w), axis=axis, keepdims=True))


_catalogue = registry.Catalogue(
    "constraint",
    {
        "MaxNorm": MaxNorm, "max_norm": MaxNorm, "MinMaxNorm": MinMaxNorm,
        "min_max_norm": MinMaxNorm, "NonNeg": NonNeg, "non_neg": NonNeg,
        "UnitNorm": UnitNorm, "unit_norm": UnitNorm,
    },
    base=Constraint,
)  # fmt: skip

max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm  # short names


def get(identifier):
    """Return the constraint that `identifier` stands for.

    Args:
        identifier: None, a name ("max_norm", "min_max_norm", "non_neg", "unit_norm"), a config, a
            class (built with its defaults), an instance, or a function of one array.

    Raises:
        ValueError: unknown name. TypeError: anything else.

    >>> import stepfit as keras
    >>> keras.constraints.get("max_norm").get_config()
    {'max_value': 2, 'axis': 0}
    """
    if isinstance(identifier, type):
        identifier = identifier()
    return _catalogue.get(identifier)


def serialize(constraint):
    """Return a constraint's config."""
    return registry.serialize(constraint)


def deserialize(config, custom_objects=None):
    """Return the constraint for `serialize`'s result."""
    return get(registry.deserialize(config, custom_objects))

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
