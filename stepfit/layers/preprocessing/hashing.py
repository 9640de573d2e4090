"""Hashing: any strings or integers as numbers of bins."""

import numpy as np

from stepfit.core import config, errors
from stepfit.layers import arguments
from stepfit.layers.preprocessing import encoding
from stepfit.layers.preprocessing.host_layer import HostLayer
from stepfit.layers.preprocessing.index_lookup import check_salt, hash_texts, no_sparse
from stepfit.layers.preprocessing.strings import array_of, is_text, to_bytes, to_text


class Hashing(HostLayer):
    """Strings or integers as the numbers of bins, by their hash; no vocabulary is needed.

    Args:
        num_bins: int, how many bins there are, that of `mask_value` included.
        mask_value: string or int that gets bin 0 for itself; None: there is none.
        salt: int, or a pair of them: hashes by SipHash with this key instead of FarmHash.
        output_mode: "int" (numbers of bins), "one_hot" (a vector for each), "multi_hot" or "count"
            (a vector for each row).
        sparse: False.

    Input: strings, or integers, which are hashed as decimal numbers. Output: int32 of the same
    shape, or vectors. It runs on the host; integers of a compiled model are brought there.

    >>> import stepfit as keras
    >>> keras.layers.Hashing(3)([["A"], ["B"], ["C"]]).tolist()
    [[1], [0], [1]]

    Source: FarmHash, https://github.com/google/farmhash; SipHash (Aumasson and Bernstein, 2012).
    """

    def __init__(
        self, num_bins, mask_value=None, salt=None, output_mode="int", sparse=False, **kwargs
    ):
        mode = encoding.output_mode(output_mode, "Hashing(output_mode)")
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if mode == "int" else config.floatx()
        super().__init__(**kwargs)
        self.num_bins = arguments.positive_int(num_bins, "Hashing(num_bins)")
        if mode == "int" and self.compute_dtype not in ("int32", "int64"):
            raise errors.bad_value(
                "Hashing(dtype)", "int32 or int64, with output_mode='int'", self.compute_dtype
            )
        no_sparse(sparse, "Hashing")
        self.mask_value, self.output_mode, self.sparse = mask_value, mode, sparse
        self.salt = check_salt(salt, "Hashing")

    @property
    def output_dtype(self):
        """The dtype of the output."""
        return self.compute_dtype

    def on_host(self, inputs):
        where = f"{self._where()} input"
        values = array_of(inputs, where)
        if is_text(values):
            values = to_text(values, where)
            texts = to_bytes(values.ravel().tolist())
        elif values.dtype.kind in "iufb":
            texts = [b"%d" % int(v) for v in values.ravel().tolist()]
        else:
            raise errors.bad_type(where, "strings or integers", errors.describe(values))
        masked = self.mask_value is not None and self.num_bins > 1
        bins = hash_texts(texts, self.salt) % np.uint64(self.num_bins - masked)
        bins = bins.astype(np.int64).reshape(values.shape)
        if masked:
            bins = np.where(values == self.mask_value, 0, bins + 1)
        return encoding.encode(bins, self.output_mode, self.num_bins, self.output_dtype)

    def compute_output_shape(self, input_shape):
        return encoding.encoded_shape(input_shape, self.output_mode, self.num_bins)

    def _current_config(self):
        return {**super()._current_config(), "salt": self.salt}
