"""Discretization: floats as the numbers of the bins that they fall into."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.core import scope as scopes
from stepfit.layers.preprocessing import encoding
from stepfit.layers.preprocessing.adapting import batches, to_numpy
from stepfit.layers.preprocessing.base import DataLayer
from stepfit.layers.preprocessing.index_lookup import no_sparse


class Discretization(DataLayer):
    """The number of the bin that each float falls into: how many boundaries are at most it.

    Args:
        bin_boundaries: list of floats, ascending; there is one bin more than boundaries.
        num_bins: int, in place of `bin_boundaries`: how many bins `adapt` makes, with about the
            same share of the data in each.
        epsilon: float, how exactly `adapt` finds the quantiles; smaller is slower.
        output_mode: "int" (numbers of bins), "one_hot" (a vector for each number), "multi_hot" or
            "count" (a vector for each row).
        sparse: False.

    Input: floats of any shape; output: int32 of the same shape, or vectors.

    Raises:
        RuntimeError: called without boundaries.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Discretization([0.0, 1.0])(np.array([[-1.5, 0.0, 3.4]])).tolist()
    [[0, 1, 2]]
    """

    def __init__(
        self,
        bin_boundaries=None,
        num_bins=None,
        epsilon=0.01,
        output_mode="int",
        sparse=False,
        dtype=None,
        name=None,
    ):
        super().__init__(name=name, dtype=dtype, autocast=False)
        where = "Discretization"
        self.output_mode = encoding.output_mode(output_mode, f"{where}(output_mode)")
        no_sparse(sparse, where)
        if num_bins is not None and num_bins < 0:
            raise errors.bad_value(f"{where}(num_bins)", "an int of at least 0", repr(num_bins))
        if (num_bins is None) == (bin_boundaries is None):
            found = "none" if num_bins is None else "both"
            raise errors.bad_value(f"{where}(bin_boundaries, num_bins)", "one of the two", found)
        self.num_bins, self.epsilon, self.sparse = num_bins, epsilon, sparse
        self.bin_boundaries: Any = None
        if bin_boundaries is not None:
            if not np.ndim(bin_boundaries):
                fix = f"for a number of bins pass num_bins={bin_boundaries}"
                raise errors.bad_type(
                    f"{where}(bin_boundaries)", "a list of floats", repr(bin_boundaries), fix
                )
            self.bin_boundaries = np.asarray(bin_boundaries, np.float64).tolist()
            if sorted(self.bin_boundaries) != self.bin_boundaries:
                raise errors.bad_value(f"{where}(bin_boundaries)", "ascending floats", "others")
        self.summary = _NOTHING

    def adapt(self, data, steps=None):
        """Find the boundaries of `num_bins` bins with about the same share of the data in each.

        Args:
            data: an array of floats, or a `tf.data.Dataset`, `PyDataset` or iterable of batches.
            steps: how many batches are read; None: all.

        Raises:
            ValueError: no data, or boundaries that were given. TypeError: no numbers. Nothing is
                changed then.
        """
        where = f"{self._where()} adapt(data)"
        self._check_adaptable(where)
        summary = _NOTHING
        for batch in batches(data, where, steps):
            summary = _merged(_summary(self._numbers(batch, where), self.epsilon), summary,
                              self.epsilon)  # fmt: skip
        if not summary.size:
            raise errors.bad_value(where, "at least one number", "none")
        self.summary = summary
        self.finalize_state()

    def update_state(self, data):
        """Look at one more batch; `finalize_state` finds the boundaries."""
        where = f"{self._where()} update_state(data)"
        self._check_adaptable(where)
        new = _summary(self._numbers(data, where), self.epsilon)
        self.summary = _merged(new, self.summary, self.epsilon)

    def finalize_state(self):
        """Set the boundaries from what `update_state` looked at."""
        if self.num_bins is not None:
            cuts = _compressed(self.summary, 1.0 / self.num_bins)[0, :-1]
            self.bin_boundaries = cuts.tolist()

    def reset_state(self):
        """Forget what `update_state` looked at; the boundaries stay."""
        if self.num_bins is not None:
            self.summary = _NOTHING

    def _check_adaptable(self, where):
        if self.num_bins is None:
            raise errors.StepfitValueError(
                f"{where}: expected a layer that was given num_bins, found one that was given "
                "bin_boundaries."
            )

    @staticmethod
    def _numbers(batch, where):
        array = to_numpy(batch)
        if array.dtype.kind not in "biuf":
            raise errors.bad_type(where, "numbers", errors.describe(array))
        return array.astype("float32")

    def call(self, inputs):
        inputs = jnp.asarray(inputs)
        inputs = inputs.astype(jnp.promote_types(inputs.dtype, config.floatx()))
        cuts = jnp.asarray(self._boundaries(), inputs.dtype)
        index = jnp.searchsorted(cuts, inputs, side="right")
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return encoding.encode(index, self.output_mode, len(cuts) + 1, dtype)

    def _boundaries(self):
        if self.bin_boundaries is not None:
            return self.bin_boundaries
        root = scopes.root_scope()
        if root is not None and root.abstract:  # only the shape of the output is asked for
            return [0.0] * (self.num_bins - 1)
        raise errors.StepfitRuntimeError(
            f"{self._where()}: expected boundaries before the first call, found none; call "
            "adapt(data) first, or pass bin_boundaries=[...]."
        )

    def _current_config(self):
        return {**super()._current_config(), "bin_boundaries": self.bin_boundaries}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build a layer from `get_config`'s result, with the boundaries that `adapt` found."""
        if config.get("num_bins") is None or config.get("bin_boundaries") is None:
            return super().from_config(config, custom_objects)
        layer = super().from_config({**config, "bin_boundaries": None}, custom_objects)
        layer.bin_boundaries = list(config["bin_boundaries"])
        return layer

    def load_own_variables(self, store):
        """Take nothing: config holds the boundaries (old files hold a summary, which is kept)."""
        if len(store) == 1:
            self.summary = np.array(store["0"])


# A summary of numbers: some of them in ascending order, and how many each stands for.
_NOTHING = np.zeros((2, 0), "float32")


def _summary(values, epsilon):
    """Return every n-th of the sorted values, about ``1 / epsilon`` of them."""
    values = np.sort(values.reshape(-1))
    step = max(values.size / (1.0 / epsilon), 1)
    kept = values[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def _merged(new, old, epsilon):
    both = np.concatenate([new, old], axis=1)
    return _compressed(both[:, np.argsort(both[0])], epsilon)


def _compressed(summary, epsilon):
    """Return about ``1 / epsilon`` numbers that stand for equal shares."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    total = summary[1].cumsum()
    values = np.interp(shares, total / total[-1], summary[0])
    reached = np.interp(shares, total / total[-1], total)
    return np.stack([values, np.diff(reached, prepend=0)]).astype("float32")
