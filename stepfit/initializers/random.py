"""Random initializers that take their spread as an argument.

The numbers come from NumPy (a Philox generator per initializer), so a model starts without
compiling one program per weight shape. An initializer gives the same numbers each time it is called
with the same shape, whether its seed was given or drawn; with a `SeedGenerator` each call gives new
ones.
"""

import math
import numbers

import numpy as np

from stepfit.core import arrays, dtypes, errors, registry, seeding
from stepfit.initializers.base import Initializer, shape_tuple


class RandomInitializer(Initializer):
    """Base of random initializers.

    Args:
        seed: int; None, to draw one from the generator that `utils.set_random_seed` seeds; or a
            `SeedGenerator`.

    Raises:
        TypeError: another kind of seed.
    """

    def __init__(self, seed=None):
        seed = registry.deserialize(seed)
        if seed is None:
            self.seed = seeding.draw_seed()
        elif isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
            self.seed = int(seed)
        elif hasattr(seed, "next"):
            self.seed = seed
        else:
            raise errors.bad_type(
                f"{type(self).__name__} seed", "an int, None or a SeedGenerator",
                errors.describe(seed),
            )  # fmt: skip

    def _draw(self, shape, dtype, method, *args):
        """Call `method` of a NumPy generator with `args`, a shape and a float dtype to draw in."""
        seed = self.seed
        if not isinstance(seed, int):
            seed = [int(word) for word in np.asarray(seed.next()).ravel()]
        else:
            seed %= 2**64
        name = _float(dtype)
        drawn_in = np.float64 if name == "float64" else np.float32
        generator = np.random.Generator(np.random.Philox(seed))
        return method(generator, shape_tuple(shape), drawn_in, *args), dtypes.jax_dtype(name)


class RandomNormal(RandomInitializer):
    """Draw from the normal distribution.

    Args:
        mean: mean of the numbers.
        stddev: standard deviation of the numbers.
        seed: int, None or a `SeedGenerator`.

    Example:

    >>> import stepfit as keras
    >>> w = keras.initializers.RandomNormal(stddev=0.1, seed=0)((500, 20))
    >>> round(float(w.std()), 2)
    0.1
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        values, dtype = self._draw(shape, dtype, normal)
        return arrays.handed_over(values * self.stddev + self.mean, dtype)


class TruncatedNormal(RandomInitializer):
    """Draw from the normal distribution, cut off two standard deviations from the mean.

    Args:
        mean: mean of the numbers.
        stddev: standard deviation before the cut (after it: 0.88 times as much).
        seed: int, None or a `SeedGenerator`.

    Example:

    >>> import stepfit as keras
    >>> w = keras.initializers.TruncatedNormal(stddev=1.0, seed=0)((1000,))
    >>> bool(abs(w).max() <= 2.0)
    True
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        values, dtype = self._draw(shape, dtype, truncated)
        return arrays.handed_over(values * self.stddev + self.mean, dtype)


class RandomUniform(RandomInitializer):
    """Draw from the uniform distribution on ``[minval, maxval)``.

    Args:
        minval: lower bound.
        maxval: upper bound.
        seed: int, None or a `SeedGenerator`.

    Example:

    >>> import stepfit as keras
    >>> w = keras.initializers.RandomUniform(0.0, 3.0, seed=0)((1000,))
    >>> bool((w >= 0).all()), bool((w < 3).all())
    (True, True)
    """

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape, dtype=None):
        values, dtype = self._draw(shape, dtype, uniform)
        return arrays.handed_over(values * (self.maxval - self.minval) + self.minval, dtype)


class Orthogonal(RandomInitializer):
    """Draw a matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    A shape of more than two axes is drawn as the matrix ``[product of all but the last, last]``.

    Args:
        gain: factor.
        seed: int, None or a `SeedGenerator`.

    Raises:
        ValueError: on calling, a shape with fewer than two axes.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> q = keras.initializers.Orthogonal(seed=0)((3, 3))
    >>> bool(jnp.allclose(q @ q.T, jnp.eye(3), atol=1e-5))
    True

    Source: Saxe et al., 2014, https://arxiv.org/abs/1312.6120.
    """

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape, dtype=None):
        shape = shape_tuple(shape)
        if len(shape) < 2:
            raise errors.bad_value("Orthogonal(shape)", "at least two axes", f"shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        values, dtype = self._draw(tall, dtype, normal)
        q, r = np.linalg.qr(values)
        q = q * np.where(np.diagonal(r) < 0, -1, 1).astype(q.dtype)  # makes the draw uniform
        q = q.T if rows < columns else q
        return arrays.handed_over(self.gain * q.reshape(shape), dtype)


def _float(dtype):
    name = dtypes.standardize_dtype(dtype)
    if not dtypes.is_float(name):
        raise errors.bad_value("initializer dtype", "a float dtype", repr(name))
    return name


def normal(generator, shape, dtype):
    """Draw standard normal numbers."""
    return generator.standard_normal(shape, dtype)


def uniform(generator, shape, dtype):
    """Draw numbers between 0 (included) and 1 (excluded)."""
    return generator.random(shape, dtype)


def symmetric(generator, shape, dtype):
    """Draw numbers between -1 (included) and 1 (excluded)."""
    return 2 * generator.random(shape, dtype) - 1


def truncated(generator, shape, dtype):
    """Draw standard normal numbers, and those beyond 2 afresh until there are none."""
    flat = generator.standard_normal(math.prod(shape), dtype)
    while True:
        (outside,) = np.nonzero(np.abs(flat) > 2)
        if not len(outside):
            return flat.reshape(shape)
        flat[outside] = generator.standard_normal(len(outside), dtype)
