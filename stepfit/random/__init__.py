"""Random numbers, seeded by an int, a `SeedGenerator`, or the process-wide generator.

With an int seed a function is deterministic; with a `SeedGenerator` each call gives new numbers;
with None the process-wide generator is used, which a compiled step carries in its state, so the
numbers differ from step to step and repeat after `utils.set_random_seed`.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from stepfit.core import dtypes, errors
from stepfit.core.op import op
from stepfit.random.seed_generator import SeedGenerator, draw_key

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip


def _float(dtype):
    dtype = dtypes.standardize_dtype(dtype)
    if not dtypes.is_float(dtype):
        raise errors.bad_value("dtype", "a float dtype", repr(dtype), "use random.randint for ints")
    return dtype


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draw from the normal distribution.

    Args:
        shape: tuple of ints.
        mean, stddev: numbers or arrays that broadcast to `shape`.
        dtype: float dtype; default `config.floatx()`.
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array of shape `shape`.

    Example:

    >>> import stepfit as keras
    >>> keras.random.normal((2, 3), seed=1).shape
    (2, 3)
    """
    dtype = _float(dtype)
    return jax.random.normal(draw_key(seed), tuple(shape), dtype) * jnp.asarray(
        stddev, dtype
    ) + jnp.asarray(mean, dtype)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Draw from the uniform distribution on ``[minval, maxval)``; ints for an int `dtype`.

    Args:
        shape: tuple of ints.
        minval, maxval: bounds.
        dtype: float (or int) dtype; default `config.floatx()`.
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array of shape `shape`.
    """
    dtype = dtypes.standardize_dtype(dtype)
    if not dtypes.is_float(dtype):
        return randint(shape, minval, maxval, dtype, seed)
    return jax.random.uniform(draw_key(seed), tuple(shape), dtype, minval, maxval)


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Draw integers from ``[minval, maxval)``.

    Args:
        shape: tuple of ints.
        minval, maxval: ints.
        dtype: int dtype.
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array of shape `shape`.
    """
    dtype = dtypes.standardize_dtype(dtype)
    return jax.random.randint(draw_key(seed), tuple(shape), int(minval), int(maxval), dtype)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draw from the normal distribution, cut off at two standard deviations.

    Args:
        shape: tuple of ints.
        mean, stddev: of the normal distribution before cutting.
        dtype: float dtype; default `config.floatx()`.
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array of shape `shape`.
    """
    dtype = _float(dtype)
    return jax.random.truncated_normal(draw_key(seed), -2.0, 2.0, tuple(shape), dtype) * (
        jnp.asarray(stddev, dtype)
    ) + jnp.asarray(mean, dtype)


@op
def categorical(logits, num_samples, dtype="int32", seed=None):
    """Draw class indices from unnormalised log-probabilities.

    Args:
        logits: array (batch, classes).
        num_samples: draws per row.
        dtype: int dtype of the result.
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array (batch, num_samples).
    """
    logits = jnp.asarray(logits)
    shape = (*logits.shape[:-1], num_samples)
    draws = jax.random.categorical(draw_key(seed), logits[..., None, :], axis=-1, shape=shape)
    return draws.astype(dtypes.standardize_dtype(dtype))


@op
def dropout(inputs, rate, noise_shape=None, seed=None):
    """Set a share `rate` of the entries to 0 and scale the others by ``1 / (1 - rate)``.

    Args:
        inputs: float array.
        rate: number in [0, 1).
        noise_shape: shape of the mask, broadcast to the inputs' (None: the inputs' shape).
        seed: None, int, or `SeedGenerator`.

    Returns:
        Array like `inputs`.
    """
    inputs = jnp.asarray(inputs)
    if noise_shape is None:
        noise_shape = inputs.shape
    else:
        noise_shape = tuple(
            s if n is None else n for n, s in zip(noise_shape, inputs.shape, strict=True)
        )
    keep = 1.0 - rate
    kept = jax.random.bernoulli(draw_key(seed), keep, noise_shape)
    scaled = inputs / jnp.asarray(keep, inputs.dtype)
    return jnp.where(kept, scaled, jnp.zeros((), inputs.dtype))


@op
def shuffle(x, axis=0, seed=None):
    """Permute an array along one axis."""
    return jax.random.permutation(draw_key(seed), jnp.asarray(x), axis)


def gamma(shape, alpha, dtype=None, seed=None):
    """Draw from the gamma distribution with shape parameter `alpha` and scale 1."""
    dtype = _float(dtype)
    return jax.random.gamma(draw_key(seed), jnp.asarray(alpha, dtype), tuple(shape), dtype)


def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """Draw from the binomial distribution of `counts` trials."""
    dtype = _float(dtype)
    draws = jax.random.binomial(
        draw_key(seed), jnp.asarray(counts, dtype), jnp.asarray(probabilities, dtype), tuple(shape)
    )
    return draws.astype(dtype)


def beta(shape, alpha, beta, dtype=None, seed=None):
    """Draw from the beta distribution."""
    dtype = _float(dtype)
    return jax.random.beta(
        draw_key(seed), jnp.asarray(alpha, dtype), jnp.asarray(beta, dtype), tuple(shape), dtype
    )

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
