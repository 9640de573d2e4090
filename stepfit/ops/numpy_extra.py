"""NumPy's functions that need more than another signature: makers, statistics, lookup."""

import builtins
import math

import jax.numpy as jnp

from stepfit.core import config, dtypes, errors
from stepfit.core.op import op
from stepfit.ops.table import follow_floatx, tensor, tensors


def _dtype(dtype):
    return None if dtype is None else dtypes.standardize_dtype(dtype)


# Makers: floats are `config.floatx()` unless a dtype is given.


def zeros(shape, dtype=None):
    """Return an array of zeros."""
    return jnp.zeros(shape, dtypes.standardize_dtype(dtype))


def ones(shape, dtype=None):
    """Return an array of ones."""
    return jnp.ones(shape, dtypes.standardize_dtype(dtype))


def empty(shape, dtype=None):
    """Return an array whose contents do not matter (zeros)."""
    return jnp.empty(shape, dtypes.standardize_dtype(dtype))


def full(shape, fill_value, dtype=None):
    """Return an array that holds `fill_value` everywhere."""
    return jnp.full(shape, tensor(fill_value), dtypes.standardize_dtype(dtype))


def eye(N, M=None, k=0, dtype=None):
    """Return an ``(N, M)`` matrix with ones on diagonal `k`."""
    return jnp.eye(N, M=M, k=k, dtype=dtypes.standardize_dtype(dtype))


def identity(n, dtype=None):
    """Return the ``(n, n)`` identity matrix."""
    return jnp.identity(n, dtypes.standardize_dtype(dtype))


def tri(N, M=None, k=0, dtype=None):
    """Return an ``(N, M)`` matrix with ones on and below diagonal `k`."""
    return jnp.tri(N, M=M, k=k, dtype=dtypes.standardize_dtype(dtype))


def arange(start, stop=None, step=None, dtype=None):
    """Return evenly spaced numbers; floats follow `config.floatx()`.

    >>> import stepfit as keras
    >>> keras.ops.arange(3).tolist()
    [0, 1, 2]
    """
    start, stop, step = tensor(start), tensor(stop), tensor(step)
    result = jnp.arange(start, stop, step, dtype=_dtype(dtype))
    if dtype is None and jnp.issubdtype(result.dtype, jnp.floating):
        if not any(hasattr(x, "dtype") for x in (start, stop, step)):
            return result.astype(config.floatx())
    return result


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """Return `num` evenly spaced numbers from `start` to `stop`."""
    settings = {"num": num, "endpoint": endpoint, "retstep": retstep, "axis": axis}
    return _spaced(jnp.linspace, start, stop, _dtype(dtype), settings)


def logspace(start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0):
    """Return `num` numbers from ``base**start`` to ``base**stop``, evenly spaced in logarithm."""
    settings = {"num": num, "endpoint": endpoint, "base": base, "axis": axis}
    return _spaced(jnp.logspace, start, stop, _dtype(dtype), settings)


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """Return `num` numbers from `start` to `stop`, evenly spaced in logarithm."""
    settings = {"num": num, "endpoint": endpoint, "axis": axis}
    return _spaced(jnp.geomspace, start, stop, _dtype(dtype), settings)


@op
def _spaced(function, start, stop, dtype, settings):
    start, stop = tensor(start), tensor(stop)
    result = function(start, stop, dtype=dtype, **settings)
    if dtype is not None or hasattr(start, "dtype") or hasattr(stop, "dtype"):
        return result
    if isinstance(result, tuple):
        return tuple(r.astype(config.floatx()) for r in result)
    return result.astype(config.floatx())


@op
def zeros_like(x, dtype=None):
    """Return zeros of the shape (and dtype) of `x`."""
    return jnp.zeros_like(tensor(x), dtype=_dtype(dtype))


@op
def ones_like(x, dtype=None):
    """Return ones of the shape (and dtype) of `x`."""
    return jnp.ones_like(tensor(x), dtype=_dtype(dtype))


@op
def empty_like(x, dtype=None):
    """Return an array of the shape (and dtype) of `x` whose contents do not matter."""
    return jnp.empty_like(tensor(x), dtype=_dtype(dtype))


@op
def full_like(x, fill_value, dtype=None):
    """Return `fill_value` in the shape (and dtype) of `x`."""
    return jnp.full_like(tensor(x), tensor(fill_value), dtype=_dtype(dtype))


@op
def array(x, dtype=None):
    """Return `x` as a new array."""
    return jnp.array(tensor(x), dtype=_dtype(dtype))


@op
def meshgrid(*x, indexing="xy"):
    """Return the coordinates of the grid spanned by 1D arrays, one array per axis."""
    return list(jnp.meshgrid(*tensors(x), indexing=indexing))


# Statistics: sums of 16-bit floats are taken in float32.


@op
def mean(x, axis=None, keepdims=False):
    """Mean along `axis`; 16-bit floats are summed in float32.

    >>> import stepfit as keras
    >>> keras.ops.mean([[1, 2], [3, 4]], axis=0).tolist()
    [2.0, 3.0]
    """
    x = jnp.asarray(tensor(x))
    compute = jnp.promote_types(x.dtype, "float32")
    result = jnp.mean(x, axis=axis, keepdims=keepdims, dtype=compute)
    return follow_floatx(_restore(result, x), x)


@op
def var(x, axis=None, keepdims=False):
    """Variance along `axis`; 16-bit floats are summed in float32."""
    x = jnp.asarray(tensor(x))
    compute = jnp.promote_types(x.dtype, "float32")
    result = jnp.var(x, axis=axis, keepdims=keepdims, dtype=compute)
    return follow_floatx(_restore(result, x), x)


def _restore(result, x):
    """Cast a statistic back to the dtype of `x` where that is a float."""
    return result.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else result


@op
def bincount(x, weights=None, minlength=0, sparse=False):
    """Count how often each integer occurs, along the last axis of a 1D or 2D array.

    Not for compiled code: the length of the result depends on the values, unless `minlength`
    bounds them.
    """
    if sparse:
        raise errors.bad_value("bincount(sparse)", "False", "True", "sparse results do not exist")
    x, weights = jnp.asarray(tensor(x)), tensor(weights)
    if x.ndim != 2:
        return jnp.bincount(x, weights=weights, minlength=minlength)
    length = builtins.max(minlength, int(x.max()) + 1 if x.size else 0)
    rows = [None] * x.shape[0] if weights is None else weights
    counts = [jnp.bincount(r, weights=w, length=length) for r, w in zip(x, rows, strict=True)]
    return jnp.stack(counts)


@op
def histogram(x, bins=10, range=None):
    """Count the elements that fall into each of `bins`; return the counts and the edges."""
    if not isinstance(bins, int) or bins < 1:
        raise errors.bad_value("histogram(bins)", "an integer of at least 1", errors.describe(bins))
    return jnp.histogram(tensor(x), bins=bins, range=range)


# Products, choice and lookup.


@op
def matmul(x1, x2):
    """Matrix product over the last two axes; int8 by int8 gives int32."""
    x1, x2 = jnp.asarray(tensor(x1)), jnp.asarray(tensor(x2))
    return jnp.matmul(x1, x2, preferred_element_type=_wide(x1, x2))


@op
def einsum(subscripts, *operands, **kwargs):
    """Sum of products in Einstein's notation; int8 operands give int32.

    >>> import stepfit as keras
    >>> keras.ops.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    operands = tensors(operands)
    return jnp.einsum(subscripts, *operands, preferred_element_type=_wide(*operands), **kwargs)


def _wide(*arrays):
    return "int32" if builtins.all(a.dtype == jnp.int8 for a in arrays) else None


@op
def clip(x, x_min, x_max):
    """Limit to the range from `x_min` to `x_max`; booleans become int32."""
    x = jnp.asarray(tensor(x))
    return jnp.clip(x.astype("int32") if x.dtype == bool else x, tensor(x_min), tensor(x_max))


@op
def round(x, decimals=0):
    """Round to `decimals` places; half goes to the even neighbour."""
    x = jnp.asarray(tensor(x))
    if decimals < 0 and jnp.issubdtype(x.dtype, jnp.integer):
        factor = 10**-decimals
        return (jnp.round(x.astype(config.floatx()) / factor) * factor).astype(x.dtype)
    return jnp.round(x, decimals)


@op
def divide_no_nan(x1, x2):
    """Quotient, and 0 wherever `x2` is 0 (also in the gradient)."""
    x1, x2 = jnp.asarray(tensor(x1)), jnp.asarray(tensor(x2))
    zero = x2 == 0
    return jnp.where(zero, 0, jnp.divide(x1, jnp.where(zero, 1, x2)))


@op
def where(condition, x1=None, x2=None):
    """`x1` where `condition` holds, else `x2`; with `condition` alone, its indices."""
    condition = tensor(condition)
    if x1 is None and x2 is None:
        return jnp.where(condition)
    return jnp.where(condition, tensor(x1), tensor(x2))


@op
def select(condlist, choicelist, default=0):
    """For each element, the choice whose condition is the first to hold."""
    return jnp.select(tensors(condlist), tensors(choicelist), tensor(default))


@op
def nonzero(x):
    """Indices of the elements that are not zero, one array per axis. Not for compiled code."""
    return jnp.nonzero(tensor(x))


@op
def unique(
    x, sorted=True, return_index=False, return_inverse=False, return_counts=False, axis=None,
    size=None, fill_value=None,
):  # fmt: skip
    """Distinct elements; give `size` inside compiled code."""
    return jnp.unique(
        jnp.asarray(tensor(x)), return_index=return_index, return_inverse=return_inverse,
        return_counts=return_counts, axis=axis, size=size, fill_value=fill_value,
    )  # fmt: skip


@op
def searchsorted(sorted_sequence, values, side="left"):
    """Indices at which `values` keep a sorted 1D sequence sorted."""
    sequence = jnp.asarray(tensor(sorted_sequence))
    if sequence.ndim != 1:
        raise errors.bad_value(
            "searchsorted(sorted_sequence)", "a 1D array", errors.describe(sequence),
            "use vectorized_map over the leading axes",
        )  # fmt: skip
    return jnp.searchsorted(sequence, tensor(values), side=side)


@op
def pad(x, pad_width, mode="constant", constant_values=None):
    """Enlarge by `pad_width` elements before and after along each axis."""
    if constant_values is None:
        return jnp.pad(tensor(x), pad_width, mode=mode)
    if mode != "constant":
        raise errors.bad_value(
            "pad(constant_values)", f"None with mode={mode!r}", "a value", 'use mode="constant"'
        )
    return jnp.pad(tensor(x), pad_width, mode=mode, constant_values=tensor(constant_values))


@op
def stack(x, axis=0):
    """Join along a new axis."""
    return jnp.stack(tensors(x), axis=axis)


@op
def get_item(x, key):
    """`x[key]` with NumPy's indices."""
    return jnp.asarray(tensor(x))[key]


@op
def view(x, dtype=None):
    """The same bytes read as another dtype."""
    return jnp.asarray(tensor(x)).view(_dtype(dtype))


def size(x):
    """Return the number of elements as a Python int (None where an axis is unknown)."""
    lengths = x.shape if hasattr(x, "shape") else jnp.shape(tensor(x))
    return None if None in lengths else math.prod(lengths)


def ndim(x):
    """Return the number of axes as a Python int."""
    return len(x.shape) if hasattr(x, "shape") else jnp.ndim(tensor(x))


def vectorize(pyfunc, *, excluded=None, signature=None):
    """Return `pyfunc`, written for single elements, as a function of arrays."""
    return jnp.vectorize(pyfunc, excluded=excluded or frozenset(), signature=signature)
