"""Special functions, segments, ranking and Fourier transforms."""

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.ops.table import same, tensor, tensors

erf = same("erf(x)", "Error function.", lambda x: jax.scipy.special.erf(x))
erfc = same("erfc(x)", "`1 - erf(x)`.", lambda x: jax.scipy.special.erfc(x))
erfinv = same("erfinv(x)", "Inverse of the error function.", lambda x: jax.scipy.special.erfinv(x))
rsqrt = same("rsqrt(x)", "`1 / sqrt(x)`.", lambda x: jax.lax.rsqrt(jnp.asarray(x)))
logsumexp = same("logsumexp(x, axis=None, keepdims=False)", "`log(sum(exp(x)))` without overflow.",
                 lambda x, **settings: jax.scipy.special.logsumexp(x, **settings))  # fmt: skip
logdet = same("logdet(x)", "Logarithm of the absolute determinant of the last two axes.",
              lambda x: jnp.linalg.slogdet(x)[1])  # fmt: skip
slogdet = same("slogdet(x)", "Sign and logarithm of the absolute determinant.",
               lambda x: tuple(jnp.linalg.slogdet(x)))  # fmt: skip
view_as_real = same("view_as_real(x)", "Real and imaginary part along a new last axis.",
                    lambda x: jnp.stack([jnp.real(x), jnp.imag(x)], -1))  # fmt: skip
view_as_complex = same("view_as_complex(x)", "Complex numbers from pairs on the last axis.",
                       lambda x: jax.lax.complex(x[..., 0], x[..., 1]))  # fmt: skip


@op
def top_k(x, k, sorted=True):
    """Return the `k` largest along the last axis and their indices, largest first."""
    return tuple(jax.lax.top_k(jnp.asarray(tensor(x)), k))


@op
def in_top_k(targets, predictions, k):
    """Say for each row whether its target is among the `k` largest predictions; ties count.

    Args:
        targets: class indices, shape ``(batch,)``.
        predictions: scores, shape ``(batch, classes)``.
        k: how many places count.

    >>> import stepfit as keras
    >>> keras.ops.in_top_k([1, 0], [[0.1, 0.9], [0.2, 0.8]], k=1).tolist()
    [True, False]
    """
    targets, predictions = jnp.asarray(tensor(targets)), jnp.asarray(tensor(predictions))
    own = jnp.take_along_axis(predictions, targets[..., None], axis=-1)
    own = jnp.where(jnp.isnan(own), -jnp.inf, own)
    return jnp.sum(predictions > own, axis=-1) < k


def _segment(name, way):
    @op
    def segment(data, segment_ids, num_segments=None, sorted=False):
        if num_segments is None:
            raise errors.bad_value(
                f"{name}(num_segments)", "the number of segments", "None",
                "shapes are fixed at compile time, pass num_segments=",
            )  # fmt: skip
        data, segment_ids = tensors((data, segment_ids))
        return way(data, segment_ids, num_segments, indices_are_sorted=sorted)

    segment.__name__ = segment.__qualname__ = name
    segment.__doc__ = (
        f"{name.split('_')[1].capitalize()} of the rows of `data` that share a segment id."
    )
    return segment


segment_sum = _segment("segment_sum", jax.ops.segment_sum)
segment_max = _segment("segment_max", jax.ops.segment_max)
segment_min = _segment("segment_min", jax.ops.segment_min)
segment_prod = _segment("segment_prod", jax.ops.segment_prod)


@op
def cdist(x, y):
    """Euclidean distances of all pairs of rows: ``(..., n, d), (..., m, d) -> (..., n, m)``."""
    x, y = tensors((x, y))
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise errors.bad_value(
            "cdist(x, y)", "arrays (..., n, d) and (..., m, d)",
            f"{errors.describe(x)} and {errors.describe(y)}",
        )  # fmt: skip
    return jnp.sqrt(jnp.sum(jnp.square(x[..., :, None, :] - y[..., None, :, :]), axis=-1))


# Fourier transforms take and give complex numbers as pairs (real, imaginary).


def _complex(x):
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise errors.bad_value("x", "a pair (real, imaginary)", errors.describe(x))
    return jax.lax.complex(*tensors(x))


def _pair(z):
    return jnp.real(z), jnp.imag(z)


@op
def fft(x):
    """Fourier transform along the last axis; `x` and the result are (real, imaginary)."""
    return _pair(jnp.fft.fft(_complex(x)))


@op
def fft2(x):
    """Fourier transform along the last two axes; `x` and the result are (real, imaginary)."""
    return _pair(jnp.fft.fft2(_complex(x)))


@op
def ifft2(x):
    """Inverse of `fft2`."""
    return _pair(jnp.fft.ifft2(_complex(x)))


@op
def rfft(x, fft_length=None):
    """Fourier transform of real numbers along the last axis, as (real, imaginary)."""
    return _pair(jnp.fft.rfft(tensor(x), n=fft_length))


@op
def irfft(x, fft_length=None):
    """Inverse of `rfft`; `x` is (real, imaginary)."""
    return jnp.fft.irfft(_complex(x), n=fft_length)
