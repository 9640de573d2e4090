"""Conversion, control flow and scattered reads and writes."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors
from stepfit.core.op import op
from stepfit.ops.table import tensor


def shape(x):
    """Return the shape as a tuple of Python ints (None where a symbolic axis is unknown).

    >>> import stepfit as keras
    >>> keras.ops.shape(keras.ops.ones((2, 3)))
    (2, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else jnp.shape(tensor(x))


def dtype(x):
    """Return the dtype as a string."""
    return dtypes.standardize_dtype(x.dtype if hasattr(x, "dtype") else jnp.asarray(x).dtype)


def is_tensor(x):
    """Say whether `x` is an array that JAX computes with (a traced one counts)."""
    return isinstance(x, jax.Array)


def convert_to_tensor(x, dtype=None, sparse=None, ragged=None):
    """Return `x` (array, number, nested list, Variable) as a JAX array.

    Args:
        x: what to convert.
        dtype: dtype of the result; None keeps that of `x`, Python floats give `config.floatx()`.
        sparse, ragged: accepted for Keras's signature; True raises.

    Returns:
        A JAX array; symbolic tensors are cast symbolically.

    >>> import stepfit as keras
    >>> keras.ops.convert_to_tensor([1, 2], dtype="float32").tolist()
    [1.0, 2.0]
    """
    if sparse or ragged:
        name = "sparse" if sparse else "ragged"
        raise errors.bad_value(f"convert_to_tensor({name})", "None or False", "True")
    return _convert(x, dtype)


@op
def _convert(x, dtype):
    x = tensor(x)
    if dtype is None:
        return jnp.asarray(x)
    dtype = dtypes.standardize_dtype(dtype)
    return jnp.asarray(x).astype(dtype) if dtype == "bfloat16" else jnp.asarray(x, dtype)


def convert_to_numpy(x):
    """Return `x` as a NumPy array, copied to the host."""
    return np.array(tensor(x))


@op
def cast(x, dtype):
    """Return `x` in another dtype.

    >>> import stepfit as keras
    >>> keras.ops.cast([1.7, -1.7], "int32").tolist()
    [1, -1]
    """
    return jnp.asarray(tensor(x)).astype(dtypes.standardize_dtype(dtype))


@op
def saturate_cast(x, dtype):
    """Return `x` in another dtype, values outside its range set to the nearest bound."""
    dtype = dtypes.standardize_dtype(dtype)
    x = jnp.asarray(tensor(x))
    if dtype == "bool" or x.dtype == bool:
        return x.astype(dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        low, high = _integer_bounds(x.dtype, jnp.iinfo(dtype))
    else:
        info = jnp.finfo(dtype)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x.astype(dtype)
        low, high = float(info.min), float(info.max)
        if float(jnp.finfo(x.dtype).max) <= high:
            return x.astype(dtype)
    return jnp.clip(x, jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)).astype(dtype)


def _integer_bounds(source, target):
    """Return the bounds of an integer dtype as exact numbers of the source's dtype."""
    if jnp.issubdtype(source, jnp.integer):
        info = jnp.iinfo(source)
        return max(target.min, info.min), min(target.max, info.max)
    with jax.ensure_compile_time_eval():
        low, high = jnp.asarray(target.min, source), jnp.asarray(target.max, source)
        if int(high) > target.max:  # rounded up: step to the float below
            high = jnp.nextafter(high, jnp.zeros((), source))
    return low, high


@op
def stop_gradient(variable):
    """Return the value; gradients treat it as a constant."""
    return jax.lax.stop_gradient(tensor(variable))


# Control flow.


@op
def cond(pred, true_fn, false_fn):
    """Return ``true_fn()`` where `pred` holds, else ``false_fn()``; both of the same structure."""
    return jax.lax.cond(tensor(pred), true_fn, false_fn)


@op
def switch(index, branches, *operands):
    """Return ``branches[index](*operands)``; the index is clamped to the known branches."""
    return jax.lax.switch(tensor(index), branches, *operands)


@op
def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """Repeat `body` on the loop variables as long as `cond` of them holds.

    Args:
        cond: function of the loop variables that returns a boolean scalar.
        body: function of the loop variables that returns their next values.
        loop_vars: one array, or a tuple or list of arrays.
        maximum_iterations: upper bound for the number of repetitions, or None.

    Returns:
        The last loop variables, as one array or a tuple.

    >>> import stepfit as keras
    >>> int(keras.ops.while_loop(lambda i: i < 10, lambda i: i + 3, 0))
    12
    """
    single = not isinstance(loop_vars, (tuple, list))
    start = (loop_vars,) if single else tuple(loop_vars)

    def go_on(carry):
        count, values = carry
        more = cond(*values)
        return more if maximum_iterations is None else more & (count < maximum_iterations)

    def step(carry):
        count, values = carry
        values = body(*values)
        return count + 1, (values,) if single else tuple(values)

    _, values = jax.lax.while_loop(go_on, step, (jnp.int32(0), start))
    return values[0] if single else values


@op
def fori_loop(lower, upper, body_fun, init_val):
    """Return the value after ``value = body_fun(i, value)`` for i from `lower` to `upper` - 1."""
    return jax.lax.fori_loop(tensor(lower), tensor(upper), body_fun, init_val)


@op
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """Carry a value along the leading axis: ``carry, y = f(carry, x)`` for each x.

    Returns:
        ``(carry, ys)``: the last carry, and the y's stacked along a leading axis.

    >>> import stepfit as keras
    >>> total, sums = keras.ops.scan(lambda c, x: (c + x, c + x), 0, keras.ops.arange(1, 4))
    >>> int(total), sums.tolist()
    (6, [1, 3, 6])
    """
    return jax.lax.scan(f, init, xs, length=length, reverse=reverse, unroll=unroll)


@op
def associative_scan(f, elems, reverse=False, axis=0):
    """Running result of the associative function `f` along `axis`, computed in parallel."""
    return jax.lax.associative_scan(f, elems, reverse=reverse, axis=axis)


@op
def map(f, xs):
    """Apply `f` to each element along the leading axis, one after the other."""
    return jax.lax.map(f, xs)


@op
def vectorized_map(function, elements):
    """Apply `function` to each element along the leading axis, all at once."""
    return jax.vmap(function)(elements)


def custom_gradient(f):
    """Give a function its own gradient: `f` returns its result and the function for gradients.

    >>> import jax, stepfit as keras
    >>> double = keras.ops.custom_gradient(lambda x: (x, lambda upstream: 2 * upstream))
    >>> float(jax.grad(double)(3.0))
    2.0
    """
    inner = jax.custom_gradient(f)

    def function(*args, **kwargs):
        args, kwargs = jax.tree.map(tensor, (args, kwargs))
        return inner(*args, **kwargs)

    function.__name__ = getattr(f, "__name__", "custom_gradient")
    function.__doc__ = f.__doc__
    return function


# Scattered reads and writes.


@op
def scatter(indices, values, shape):
    """Return zeros of `shape` with `values` added at `indices`.

    Args:
        indices: integers, shape ``(..., len(index))``: one index per row.
        values: what to add, one value (or slice) per index.
        shape: shape of the result.
    """
    values = jnp.asarray(tensor(values))
    key = tuple(jnp.moveaxis(jnp.asarray(tensor(indices)), -1, 0))
    return jnp.zeros(shape, values.dtype).at[key].add(values)


@op
def scatter_update(inputs, indices, updates, reduction=None):
    """Return `inputs` with `updates` written at `indices`.

    Args:
        inputs: array of any shape.
        indices: integers, shape ``(n, k)``: the first k indices of each place.
        updates: n values (or slices).
        reduction: None to replace, or "add", "max", "min", "mul" to combine.
    """
    inputs = jnp.asarray(tensor(inputs))
    place = inputs.at[tuple(jnp.transpose(jnp.asarray(tensor(indices))))]
    ways = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if reduction not in ways:
        raise errors.unknown_name(
            "scatter_update(reduction)", "reduction", reduction, [w for w in ways if w]
        )
    return getattr(place, ways[reduction])(tensor(updates))


@op
def slice(inputs, start_indices, shape):
    """Return the block of `shape` at `start_indices` (-1 in `shape`: up to the end)."""
    inputs = jnp.asarray(tensor(inputs))
    sizes = [
        inputs.shape[axis] - start_indices[axis] if size == -1 else size
        for axis, size in enumerate(shape)
    ]
    return jax.lax.dynamic_slice(inputs, tuple(start_indices), sizes)


@op
def slice_update(inputs, start_indices, updates):
    """Return `inputs` with the block `updates` written at `start_indices`."""
    inputs, updates = jnp.asarray(tensor(inputs)), jnp.asarray(tensor(updates))
    return jax.lax.dynamic_update_slice(inputs, updates, tuple(start_indices))


@op
def unstack(x, num=None, axis=0):
    """Return the list of arrays along `axis`."""
    x = jnp.asarray(tensor(x))
    if num is not None and num != x.shape[axis]:
        raise errors.bad_value("unstack(num)", f"{x.shape[axis]}, the size of axis {axis}", num)
    return [jax.lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]
