"""Normalization: data with mean 0 and variance 1."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.core import scope as scopes
from stepfit.layers.preprocessing.adapting import batches, to_numpy
from stepfit.layers.preprocessing.base import DataLayer


class Normalization(DataLayer):
    """``(x - mean) / sqrt(variance)``, with statistics that are given, or learned by `adapt`.

    Args:
        axis: int, or tuple of them: axes along which each place has statistics of its own; None:
            one mean and one variance for all.
        mean, variance: floats, or arrays of one float for each place along `axis`; None: `adapt`
            learns them.
        invert: whether to go back: ``x * sqrt(variance) + mean``.

    Output: the inputs' shape, in the compute dtype.

    Raises:
        RuntimeError: called without statistics.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.Normalization()
    >>> layer.adapt(np.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> layer(np.array([[2.0, 3.0]])).tolist()
    [[1.0, 0.0]]
    """

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False  # a variance may be beyond 16-bit floats
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            missing = "mean" if mean is None else "variance"
            raise errors.bad_value(
                "Normalization(mean, variance)", "both or none", f"{missing}=None"
            )
        if np.shape(mean) != np.shape(variance):
            raise errors.bad_value(
                "Normalization(variance)", f"the mean's shape {np.shape(mean)}",
                f"shape {np.shape(variance)}",
            )  # fmt: skip
        if np.ndim(mean) > len(self.axis):
            raise errors.bad_value(
                "Normalization(mean)", f"at most {len(self.axis)} axes, as axis={axis} has",
                f"shape {np.shape(mean)}",
            )  # fmt: skip
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.supports_masking = True
        self._adapted = False

    def build(self, input_shape):
        if input_shape is None:
            return
        self._kept = self._kept_axes(len(input_shape), f"{self._where()} input")
        for axis in self._kept:
            if input_shape[axis] is None:
                raise errors.bad_value(
                    f"{self._where()} input axis {axis}", "a known size", "None",
                    "give the Input its sizes",
                )  # fmt: skip
        sizes = tuple(input_shape[a] for a in self._kept)
        self._built_shape = tuple(input_shape)
        self._sizes = sizes
        for value in (self.input_mean, self.input_variance):
            self._check_given(np.shape(value), sizes)
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(
                sizes, "zeros", trainable=False, autocast=False, name="mean"
            )
            self.adapt_variance = self.add_weight(
                sizes, "ones", trainable=False, autocast=False, name="variance"
            )
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")

    def _check_given(self, shape, sizes):
        fitting = zip(shape, sizes[len(sizes) - len(shape) :], strict=True)
        if any(d not in (1, size) for d, size in fitting):
            raise errors.bad_value(
                f"{self._where()} mean and variance",
                f"shape {sizes}, the input's sizes along the axes {self._kept}", f"shape {shape}",
            )  # fmt: skip

    def _kept_axes(self, rank, where):
        for axis in self.axis:
            if not -rank <= axis < rank:
                raise errors.bad_value(where, f"an axis {axis}", f"{rank} axes")
        return tuple(sorted(a % rank for a in self.axis))

    def adapt(self, data):
        """Learn mean and variance of some data, in place of what was known.

        Args:
            data: an array, or a `tf.data.Dataset`, `PyDataset` or iterable of batches.

        Raises:
            ValueError: no data, sizes that do not fit, or statistics that were given. TypeError:
                no numbers. Nothing is changed then.
        """
        where = f"{self._where()} adapt(data)"
        if self.input_mean is not None:
            raise errors.StepfitValueError(
                f"{where}: expected a layer that was not given its statistics, found one with "
                "mean and variance; leave them out to learn them."
            )
        spec = getattr(data, "element_spec", None)
        first = spec[0] if isinstance(spec, tuple) else spec
        single = getattr(getattr(first, "shape", None), "rank", None) == 1  # samples, not batches
        shape: Any = None
        mean: Any = 0.0
        variance: Any = 0.0
        total = 0
        for batch in batches(data, where):
            x = to_numpy(batch)
            if x.dtype.kind not in "biuf" and x.dtype.name != "bfloat16":
                raise errors.bad_type(where, "numbers", errors.describe(x))
            x = x[None] if single else x
            shape = self._same_sizes(shape, x.shape, where)
            reduced = tuple(a for a in range(x.ndim) if a not in self._kept_axes(x.ndim, where))
            x = x.astype(np.float64)
            count = math.prod(x.shape[a] for a in reduced)
            if not count:
                continue
            total += count
            new = count / total
            step = mean * (1 - new) + x.mean(reduced) * new
            variance = (variance + (mean - step) ** 2) * (1 - new) + (
                x.var(reduced) + (x.mean(reduced) - step) ** 2
            ) * new
            mean = step
        if not total:
            raise errors.bad_value(where, "at least one number", "none")
        if not self.built:
            self.build((None, *shape[1:]) if 0 not in self._kept_axes(len(shape), where) else shape)
        self.adapt_mean.assign(np.asarray(mean))
        self.adapt_variance.assign(np.asarray(variance))
        self.count.assign(min(total, 2**31 - 1))
        self._adapted = True

    def _same_sizes(self, before, shape, where):
        """Return the shape of the first batch; raise where another one has other statistics."""
        if before is None and not self.built:
            return shape
        wanted = self._built_shape if before is None else before
        kept = self._kept_axes(len(wanted), where)
        if len(shape) != len(wanted) or any(shape[a] != wanted[a] for a in kept):
            raise errors.bad_value(where, f"batches like the shape {wanted}", f"shape {shape}")
        return wanted

    def finalize_state(self):
        """Do nothing: the statistics are read where they stand (Keras's name)."""

    @property
    def mean(self):
        """The mean, in a shape that broadcasts to the inputs; None before the layer is built."""
        return self._as_built(self._statistics()[0]) if self.built else None

    @property
    def variance(self):
        """The variance, in a shape that broadcasts to the inputs; None before it is built."""
        return self._as_built(self._statistics()[1]) if self.built else None

    def _statistics(self):
        if self.input_mean is None:
            return self.adapt_mean.value, self.adapt_variance.value
        return jnp.asarray(self.input_mean), jnp.asarray(self.input_variance)

    def _as_built(self, x):
        rank = len(self._built_shape)
        shape = _spread(self._sizes, self._kept, rank)
        found = jnp.broadcast_to(x.reshape(_spread(x.shape, self._kept, rank)), shape)
        return found.astype(self.compute_dtype)

    def check_usable(self):
        root = scopes.root_scope()
        if self.input_mean is not None or self._adapted or (root is not None and root.abstract):
            return
        learned = self.built and (
            int(self.count.peek())  # 0 in files of Keras
            or np.any(np.asarray(self.adapt_mean.peek()))
            or np.any(np.asarray(self.adapt_variance.peek()) != 1)
        )
        if not learned:
            raise errors.StepfitRuntimeError(
                f"{self._where()}: expected statistics before the first call, found none; call "
                "adapt(data) first, or pass mean=... and variance=...."
            )

    def call(self, inputs):
        self.check_usable()
        x = jnp.asarray(inputs)
        where = f"{self._where()} input"
        kept = self._kept_axes(x.ndim, where)
        for axis, size in zip(kept, self._sizes, strict=True):
            if x.shape[axis] != size:
                raise errors.bad_value(f"{where} axis {axis}", f"size {size}", f"{x.shape[axis]}")
        wide = jnp.promote_types(self.compute_dtype, "float32")
        mean, variance = (
            v.reshape(_spread(v.shape, kept, x.ndim)).astype(wide) for v in self._statistics()
        )
        x, scale = x.astype(wide), jnp.maximum(jnp.sqrt(variance), config.epsilon())
        found = mean + x * scale if self.invert else (x - mean) / scale
        return found.astype(self.compute_dtype)

    def _current_config(self):
        given = {"mean": self.input_mean, "variance": self.input_variance}
        lists = {k: None if v is None else np.asarray(v).tolist() for k, v in given.items()}
        return {**super()._current_config(), **lists, "axis": self.axis}


def _spread(sizes, axes, rank):
    """Return a shape with some sizes at the last of the axes, and 1 elsewhere."""
    shape = [1] * rank
    for axis, size in zip(axes[len(axes) - len(sizes) :], sizes, strict=True):
        shape[axis] = size
    return shape
