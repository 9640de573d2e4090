"""Regularizers: penalties on weights or activities, added to the loss."""

import math
import numbers
from typing import TYPE_CHECKING

import jax.numpy as jnp

from stepfit.core import errors, registry

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2",
    "l2", "orthogonal_regularizer", "serialize",
]  # fmt: skip


class Regularizer(registry.Configurable):
    """Base of penalties: subclasses implement ``__call__(x) -> scalar``.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> class Cubic(keras.regularizers.Regularizer):
    ...     def __init__(self, factor=1.0):
    ...         self.factor = factor
    ...     def __call__(self, x):
    ...         return self.factor * jnp.sum(jnp.abs(x) ** 3)
    >>> float(Cubic(0.5)(jnp.array([1.0, -2.0]))), Cubic(0.5).get_config()
    (4.5, {'factor': 0.5})
    """

    def __init__(self):
        super().__init__()

    def __call__(self, x):
        """Return the penalty of `x` as a scalar."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method __call__(self, x) that returns a scalar "
            "penalty, found none; define it."
        )


class L1(Regularizer):
    """Penalise absolute values: ``l1 * sum(|x|)``.

    Args:
        l1: factor, a non-negative float.

    Raises:
        ValueError: the factor is negative or not finite.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> float(keras.regularizers.L1(0.5)(jnp.array([1.0, -3.0])))
    2.0
    """

    def __init__(self, l1=0.01):
        self.l1 = _factor(type(self), "l1", 0.01 if l1 is None else l1)

    def __call__(self, x):
        return self.l1 * jnp.sum(jnp.abs(jnp.asarray(x)))


class L2(Regularizer):
    """Penalise squares: ``l2 * sum(x**2)``.

    Args:
        l2: factor, a non-negative float.

    Raises:
        ValueError: the factor is negative or not finite.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> float(keras.regularizers.get("l2")(jnp.array([3.0, 4.0])))
    0.25
    """

    def __init__(self, l2=0.01):
        self.l2 = _factor(type(self), "l2", 0.01 if l2 is None else l2)

    def __call__(self, x):
        return self.l2 * jnp.sum(jnp.square(jnp.asarray(x)))


class L1L2(Regularizer):
    """Penalise absolute values and squares: ``l1 * sum(|x|) + l2 * sum(x**2)``.

    The names "l1_l2" and "l1l2" stand for ``L1L2(l1=0.01, l2=0.01)``.

    Args:
        l1: factor of the absolute values, a non-negative float.
        l2: factor of the squares, a non-negative float.

    Raises:
        ValueError: a factor is negative or not finite.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> float(keras.regularizers.L1L2(l1=1.0, l2=0.5)(jnp.array([1.0, -2.0])))
    5.5
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = _factor(type(self), "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor(type(self), "l2", 0.0 if l2 is None else l2)

    def __call__(self, x):
        x = jnp.asarray(x)
        penalty = jnp.zeros((), x.dtype)
        if self.l1:
            penalty += self.l1 * jnp.sum(jnp.abs(x))
        if self.l2:
            penalty += self.l2 * jnp.sum(jnp.square(x))
        return penalty


class OrthogonalRegularizer(Regularizer):
    """Penalise vectors that are not orthogonal: ``factor * mean over pairs of |cos(angle)|``.

    Args:
        factor: a non-negative float.
        mode: "rows" or "columns", the vectors of the ``[rows, columns]`` matrix to compare.

    Raises:
        ValueError: bad factor or mode; on calling, an array that is not a matrix.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> penalty = keras.regularizers.OrthogonalRegularizer(factor=1.0)
    >>> float(penalty(jnp.eye(3))), round(float(penalty(jnp.ones((2, 2)))), 4)
    (0.0, 1.0)
    """

    def __init__(self, factor=0.01, mode="rows"):
        self.factor = _factor(type(self), "factor", factor)
        if mode not in ("rows", "columns"):
            raise errors.unknown_name("OrthogonalRegularizer mode", "mode", mode,
                                      ("rows", "columns"))  # fmt: skip
        self.mode = mode

    def __call__(self, x):
        x = jnp.asarray(x)
        if x.ndim != 2:
            raise errors.bad_value("OrthogonalRegularizer(x)", "a matrix (2 axes)",
                                   f"shape {x.shape}")  # fmt: skip
        vectors = x if self.mode == "rows" else x.T
        squares = jnp.sum(jnp.square(vectors), axis=1, keepdims=True)
        vectors = vectors / jnp.sqrt(jnp.maximum(squares, 1e-24))
        count = vectors.shape[0]
        cosines = (vectors @ vectors.T) * (1.0 - jnp.eye(count, dtype=x.dtype))
        pairs = max(count * (count - 1) / 2, 1)  # a single vector has no pair, and no penalty
        return self.factor * 0.5 * jnp.sum(jnp.abs(cosines)) / pairs


def _factor(cls, name, value):
    """Return a factor as a float, refusing what would not be a penalty."""
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise errors.bad_value(f"{cls.__name__} {name}", "a non-negative float",
                               errors.describe(value))  # fmt: skip
    return float(value)


_catalogue = registry.Catalogue(
    "regularizer",
    {
        "L1": L1, "l1": L1, "L2": L2, "l2": L2, "L1L2": L1L2, "l1_l2": L1L2, "l1l2": L1L2,
        "OrthogonalRegularizer": OrthogonalRegularizer,
        "orthogonal_regularizer": OrthogonalRegularizer,
    },
    base=Regularizer,
)  # fmt: skip

l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer  # Keras's short names


def get(identifier):
    """Return the regularizer that `identifier` stands for.

    Args:
        identifier: None, a name ("l1", "l2", "l1_l2", "orthogonal_regularizer"), a config, a
            class (built with its defaults), an instance, or a function of one array.

    Raises:
        ValueError: unknown name. TypeError: anything else.

    >>> import stepfit as keras
    >>> keras.regularizers.get("l1_l2").get_config()
    {'l1': 0.01, 'l2': 0.01}
    """
    if isinstance(identifier, str) and identifier in ("l1_l2", "l1l2", "L1L2"):
        return L1L2(l1=0.01, l2=0.01)
    if isinstance(identifier, type):
        identifier = identifier()
    return _catalogue.get(identifier)


def serialize(regularizer):
    """Return a regularizer's config."""
    return registry.serialize(regularizer)


def deserialize(config, custom_objects=None):
    """Return the regularizer for `serialize`'s result."""
    return get(registry.deserialize(config, custom_objects))

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
