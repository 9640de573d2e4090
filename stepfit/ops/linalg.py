"""Linear algebra over the last two axes."""

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.ops.table import as_float, same, tensor, tensors

det = same("det(x)", "Determinant.", lambda x: jnp.linalg.det(x))
inv = same("inv(x)", "Inverse.", lambda x: jnp.linalg.inv(x))
eig = same("eig(x)", "Eigenvalues and eigenvectors.", lambda x: tuple(jnp.linalg.eig(x)))
eigh = same("eigh(x)", "Eigenvalues and eigenvectors of a symmetric matrix.",
            lambda x: tuple(jnp.linalg.eigh(x)))  # fmt: skip
solve = same("solve(a, b)", "The x with `a @ x = b`.", lambda a, b: jnp.linalg.solve(a, b))
solve_triangular = same(
    "solve_triangular(a, b, lower=False)", "The x with `a @ x = b` for a triangular `a`.",
    lambda a, b, lower: jax.scipy.linalg.solve_triangular(a, b, lower=lower),
)  # fmt: skip
lstsq = same("lstsq(a, b, rcond=None)", "The x that makes `|a @ x - b|` smallest.",
             lambda a, b, rcond: jnp.linalg.lstsq(a, b, rcond=rcond)[0])  # fmt: skip
pinv = same("pinv(x, rcond=None)", "Pseudo-inverse.",
            lambda x, rcond: jnp.linalg.pinv(x, rtol=rcond))  # fmt: skip
matrix_rank = same("matrix_rank(x, tol=None)", "Rank by the singular values above `tol`.",
                   lambda x, tol: jnp.linalg.matrix_rank(x, rtol=tol).astype("int32"))  # fmt: skip
norm = same("norm(x, ord=None, axis=None, keepdims=False)", "Norm of vectors or matrices.",
            lambda x, **settings: jnp.linalg.norm(as_float(x), **settings))  # fmt: skip


@op
def cholesky(x, upper=False):
    """Cholesky factor: lower (or upper) triangular L with ``L @ L.T = x``.

    Raises:
        ValueError: outside compiled code, for a matrix that is not positive definite.
    """
    x = jnp.asarray(tensor(x))
    factor = jnp.linalg.cholesky(x, upper=upper)
    if not isinstance(factor, jax.core.Tracer) and bool(jnp.isnan(factor).any()):
        raise errors.bad_value(
            "cholesky(x)", "a positive definite matrix", f"{errors.describe(x)} that is not one"
        )
    return factor


@op
def cholesky_inverse(x, upper=False):
    """Inverse of a matrix, given its Cholesky factor `x`."""
    x = jnp.asarray(tensor(x))
    inverse = jax.scipy.linalg.solve_triangular(x, jnp.eye(x.shape[-1], dtype=x.dtype),
                                                lower=not upper)  # fmt: skip
    return inverse @ inverse.T if upper else inverse.T @ inverse


@op
def lu_factor(x):
    """LU factors in one matrix, and the pivots."""
    return tuple(jax.scipy.linalg.lu_factor(jnp.asarray(tensor(x))))


@op
def qr(x, mode="reduced"):
    """Orthogonal Q and upper triangular R with ``Q @ R = x``; `mode` "reduced" or "complete"."""
    if mode not in ("reduced", "complete"):
        raise errors.unknown_name("qr(mode)", "mode", mode, ("reduced", "complete"))
    return tuple(jnp.linalg.qr(jnp.asarray(tensor(x)), mode=mode))


@op
def svd(x, full_matrices=True, compute_uv=True):
    """Singular value decomposition ``(u, s, vh)``, or the singular values alone."""
    result = jnp.linalg.svd(jnp.asarray(tensor(x)), full_matrices=full_matrices,
                            compute_uv=compute_uv)  # fmt: skip
    return tuple(result) if compute_uv else result


def jvp(fun, primals, tangents, has_aux=False):
    """Return ``fun(*primals)`` and its derivative along `tangents`."""
    return jax.jvp(fun, tuple(tensors(primals)), tuple(tensors(tangents)), has_aux=has_aux)
