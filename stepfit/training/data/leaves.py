"""From whatever the user holds to arrays: one leaf, and structures of leaves.

A structure is a dict, list or tuple of structures or leaves; None is an empty structure. A list
(of lists) of plain numbers is one array, not a structure.
"""

import functools
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.training.data import sparse


@functools.lru_cache(maxsize=1024)
def spec(shape, dtype):
    """Return the `jax.ShapeDtypeStruct`, which takes long to make."""
    return jax.ShapeDtypeStruct(shape, dtype)


def is_structure(value):
    """Say whether `value` is a dict, or a list or tuple that is not a nested list of numbers."""
    if isinstance(value, dict):
        return True
    return isinstance(value, (list, tuple)) and not _is_numbers(value)


def map_structure(fn, value, path):
    """Apply `fn(leaf, path)` to each leaf, keeping dicts, lists, tuples and None."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: map_structure(fn, v, f"{path}[{k!r}]") for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not _is_numbers(value):
        items = [map_structure(fn, v, f"{path}[{i}]") for i, v in enumerate(value)]
        if isinstance(value, list):
            return items
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return fn(value, path)


def named_leaves(value, path):
    """Return a list of (path, leaf) for all leaves of a structure."""
    found = []

    def note(leaf, where):
        found.append((where, leaf))
        return leaf

    map_structure(note, value, path)
    return found


def to_array(value, path):
    """Return a leaf as a NumPy array that JAX can take without changing its numbers.

    Sparse arrays become `SparseRows`.

    Floats of another width become `floatx`, 64-bit integers become 32-bit ones where JAX has no
    64-bit types (with an error where a number does not fit).
    """
    if isinstance(value, sparse.SparseRows) or sparse.is_sparse(value):
        return sparse.sparse_rows(value, path, to_array)
    array = _as_numpy(value, path)
    _check_kind(array, path)
    return narrow(array, path)


def narrow(array, path, all_floats=True):
    """Cast floats to `floatx` and 64-bit integers to what JAX holds; checks that they fit.

    With `all_floats=False` only float64 is cast: half-precision data stays as it is.
    """
    if jnp.issubdtype(array.dtype, np.floating):
        if array.dtype != config.floatx() and (all_floats or array.dtype == np.float64):
            return _cast(array, jnp.dtype(config.floatx()), path)
    elif array.dtype in (np.int64, np.uint64) and not config.x64_enabled():
        target = np.int32 if array.dtype == np.int64 else np.uint32
        limits = np.iinfo(target)
        if array.size and (array.min() < limits.min or array.max() > limits.max):
            fix = 'call jax.config.update("jax_enable_x64", True), or map them to smaller numbers'
            found = f"{array.dtype} numbers beyond its range"
            raise errors.bad_value(path, f"integers that fit into {target.__name__}", found, fix)
        return array.astype(target)
    return array


def _cast(array, dtype, path):
    """Cast floats; NumPy would warn of large ones without saying where they are."""
    before = np.geterr()["over"]
    too_large: list = []
    after = "call" if before == "warn" else before
    with np.errstate(over=after, call=lambda *found: too_large.append(found)):
        array = array.astype(dtype)
    if too_large:
        fix = "they become infinite; scale them"
        text = errors.message(path, f"numbers that {dtype} holds", "larger ones", fix)
        warnings.warn(text, RuntimeWarning, stacklevel=errors.users_level())
    return array


_SCALARS = (int, float, complex, np.generic, str, bytes)


def _is_numbers(value):
    """Say whether a list is made of plain numbers (or strings), at any depth."""
    while isinstance(value, (list, tuple)):
        if not all(v is None or isinstance(v, (list, tuple, *_SCALARS)) for v in value):
            return False
        if not value:
            return False
        value = value[0]
    return isinstance(value, _SCALARS)


def _as_numpy(value, path):
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (list, tuple)):
        try:
            return np.asarray(value)
        except (ValueError, TypeError):
            fix = (
                "make all rows equally long, with keras.utils.pad_sequences for example, or pass "
                "one array per input"
            )
            found = f"a {errors.describe(value)} that differ in length or type"
            raise errors.bad_value(path, "numbers in a regular shape", found, fix) from None
    if isinstance(value, (str, bytes, int, float, complex)) or callable(value):
        raise _not_an_array(value, path)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if hasattr(value, "iloc") and hasattr(value, "to_numpy"):
        return _from_pandas(value, path)
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise _not_an_array(value, path)


def _from_pandas(value, path):
    """A DataFrame becomes (rows, columns), a Series one column (rows, 1)."""
    array = value.to_numpy()
    if array.dtype == object:
        try:
            array = value.to_numpy(dtype=config.floatx())
        except (TypeError, ValueError):
            found = "text or mixed types"
            if hasattr(value, "select_dtypes"):
                names = [str(name) for name in value.select_dtypes(exclude="number").columns]
                found = f"other types in the columns {names[:5]}"
            fix = "encode them as numbers first"
            raise errors.bad_type(path, "columns of numbers", found, fix) from None
    return array[:, None] if array.ndim == 1 else array


def _not_an_array(value, path):
    if type(value).__name__.startswith("RaggedTensor"):
        found = "a RaggedTensor"
        fix = "pad its rows: call .to_tensor() on it, or .padded_batch(...) on a tf.data.Dataset"
        return errors.bad_type(path, "an array with rows of one length", found, fix)
    fix = "pass NumPy or jax arrays, or dicts and lists of them"
    return errors.bad_type(path, "an array", errors.describe(value), fix)


_ENCODE = (
    "map them to integers first, with a StringLookup or TextVectorization layer: layer(x) for "
    "arrays, dataset.map(lambda x, y: (layer(x), y)) in a data pipeline; a model that has such a "
    "layer takes strings in a call, model(x)"
)


def _check_kind(array, path):
    dtype, expected = array.dtype, "an array of numbers"
    if dtype.kind in "US" or (
        dtype.kind == "O" and array.size and isinstance(array.flat[0], (str, bytes))
    ):
        raise errors.bad_type(path, expected, f"strings ({dtype})", _ENCODE)
    if dtype.kind == "O":
        fix = (
            "rows of different length need padding, with keras.utils.pad_sequences for example; "
            "None needs a number"
        )
        raise errors.bad_type(path, expected, "Python objects (dtype object)", fix)
    if not (jnp.issubdtype(dtype, np.number) or dtype == np.bool_):
        raise errors.bad_type(path, expected, f"dtype {dtype}", "convert it to numbers first")
    if array.ndim == 0:
        fix = "the first axis counts the samples, so pass x[None] for a single one"
        raise errors.bad_value(path, "an array with at least one axis", "a single number", fix)


def to_batch_array(value, path):
    """Return a leaf of a batch that the user's object yielded; numbers alone are allowed.

    jax arrays stay where they are and half-precision floats keep their dtype.
    """
    if isinstance(value, jax.Array):
        return value
    if isinstance(value, (bool, int, float)):
        return np.asarray(value)
    if sparse.is_sparse(value):
        value = sparse.densify(value)
    array = _as_numpy(value, path)
    if array.ndim:
        _check_kind(array, path)
    return narrow(array, path, all_floats=False)
