"""Sparse arrays: kept as they are, made dense one batch at a time."""

import numpy as np

from stepfit.core import errors


def is_sparse(value):
    """Say whether `value` is a sparse array of SciPy or JAX (BCOO, BCSR)."""
    return hasattr(value, "tocoo") or (hasattr(value, "todense") and hasattr(value, "nse"))


class SparseRows:
    """A sparse array of any rank that gives dense rows.

    It has what data in memory needs: `shape`, `dtype`, `ndim`, `nbytes` (dense), rows by slice or
    by numbers, and `cut`, which stays sparse.

    Args:
        matrix: `scipy.sparse.csr_array` of shape (rows, product of the other axes).
        shape: of the whole.
    """

    def __init__(self, matrix, shape):
        self.matrix, self.shape = matrix, tuple(shape)

    @property
    def dtype(self):
        return self.matrix.dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def nbytes(self):
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        dense = self.matrix[rows].toarray()
        return dense.reshape(len(dense), *self.shape[1:])

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    def cut(self, rows):
        """Return some rows, still sparse."""
        matrix = self.matrix[rows]
        return SparseRows(matrix, (matrix.shape[0], *self.shape[1:]))


def sparse_rows(value, path, narrow):
    """Return a sparse array as `SparseRows`.

    Args:
        value: what `is_sparse` recognised.
        path: how messages call it.
        narrow: function of (array, path) that casts its numbers.
    """
    if isinstance(value, SparseRows):
        return value
    import scipy.sparse

    shape = tuple(value.shape)
    if not shape:
        raise errors.bad_value(path, "an array with at least one axis", "a single number")
    if hasattr(value, "tocoo"):
        if len(shape) != 2:
            fix = "make it two-dimensional, (samples, features)"
            raise errors.bad_value(path, "a sparse matrix", errors.describe(value), fix)
        matrix = scipy.sparse.csr_array(value)
    else:
        matrix = _from_jax(value, shape)
    matrix.data = narrow(matrix.data, path)
    return SparseRows(matrix, shape)


def densify(value):
    """Return one batch's sparse array as a dense one."""
    if hasattr(value, "tocoo"):
        return value.toarray()
    return np.asarray(value.todense())


def _from_jax(value, shape):
    import scipy.sparse
    from jax.experimental import sparse

    if hasattr(value, "to_bcoo"):
        value = value.to_bcoo()
    if value.n_batch or value.n_dense:
        value = sparse.bcoo_update_layout(value, n_batch=0, n_dense=0)
    indices, data = np.asarray(value.indices), np.asarray(value.data)
    inside = (indices < np.asarray(shape)).all(axis=1)  # JAX pads with indices that are outside
    indices, data = indices[inside].astype(np.int64), data[inside]
    columns = np.ravel_multi_index(tuple(indices[:, 1:].T), shape[1:]) if len(shape) > 1 else None
    if columns is None:
        columns = np.zeros(len(data), np.int64)
    width = int(np.prod(shape[1:], dtype=np.int64))
    return scipy.sparse.csr_array((data, (indices[:, 0], columns)), shape=(shape[0], width))
