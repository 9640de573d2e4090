"""HashedCrossing: several features as one, by the hash of their values together."""

import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.layers import arguments
from stepfit.layers.preprocessing import encoding, fingerprints
from stepfit.layers.preprocessing.host_layer import HostLayer
from stepfit.layers.preprocessing.index_lookup import no_sparse
from stepfit.layers.preprocessing.strings import array_of, is_text, to_bytes, to_text

_SEED = np.uint64(0xDECAFCAFFE)


class HashedCrossing(HostLayer):
    """The number of the bin that the values of several features fall into together.

    Args:
        num_bins: int, how many bins there are.
        output_mode: "int" (numbers of bins) or "one_hot" (vectors).
        sparse: False.

    Input: a list of two or more arrays of strings or integers, each ``(batch,)`` or ``(batch, 1)``
    (or each a single value). Output: int32 of the same shape, or vectors. It runs on the host;
    integers of a compiled model are brought there.

    >>> import numpy as np, stepfit as keras
    >>> feat1, feat2 = np.array(["A", "B", "A"]), np.array([101, 101, 101])
    >>> keras.layers.HashedCrossing(num_bins=5)((feat1, feat2)).tolist()
    [1, 4, 1]
    """

    def __init__(self, num_bins, output_mode="int", sparse=False, name=None, dtype=None, **kwargs):
        mode = encoding.output_mode(output_mode, "HashedCrossing(output_mode)", ("int", "one_hot"))
        if mode == "int" and dtype is None:
            dtype = "int64"
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.num_bins = arguments.positive_int(num_bins, "HashedCrossing(num_bins)")
        no_sparse(sparse, "HashedCrossing")
        self.output_mode, self.sparse = mode, sparse

    @property
    def output_dtype(self):
        """The dtype of the output."""
        return self.compute_dtype

    def on_host(self, inputs):
        where = f"{self._where()} inputs"
        self._check(inputs)
        columns = [array_of(x, f"{where}[{i}]") for i, x in enumerate(inputs)]
        hashes = [_hashes(x, f"{where}[{i}]") for i, x in enumerate(columns)]
        self._check_shapes([x.shape for x in columns])
        crossed = np.full(columns[0].size, _SEED)
        with np.errstate(over="ignore"):  # numbers wrap around
            for column in hashes:
                crossed = fingerprints.combined(crossed, column)
        bins = (crossed % np.uint64(self.num_bins)).astype(np.int64).reshape(columns[0].shape)
        return encoding.encode(bins, self.output_mode, self.num_bins, jnp.dtype(self.output_dtype))

    def _check(self, inputs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise errors.bad_value(
                f"{self._where()} inputs", "a list of at least two arrays", errors.describe(inputs)
            )

    def _check_shapes(self, shapes):
        first = tuple(shapes[0])
        if (
            len(first) > 2
            or (len(first) == 2 and first[1] != 1)
            or any(tuple(s) != first for s in shapes)
        ):
            raise errors.bad_value(
                f"{self._where()} inputs", "arrays of one shape, (batch,) or (batch, 1)",
                f"shapes {', '.join(map(str, shapes))}",
            )  # fmt: skip

    def compute_output_shape(self, input_shape):
        self._check(input_shape)
        self._check_shapes(input_shape)
        return encoding.encoded_shape(tuple(input_shape[0]), self.output_mode, self.num_bins)


def _hashes(values, where):
    """Return what stands for a column's values: an integer stands for itself."""
    if is_text(values):
        return fingerprints.fingerprint64(to_bytes(to_text(values, where).ravel().tolist()))
    if values.dtype.kind not in "iub":
        raise errors.bad_type(where, "strings or integers", errors.describe(values))
    return values.ravel().astype(np.int64).view(np.uint64)
