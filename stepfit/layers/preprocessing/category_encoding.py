"""CategoryEncoding: small integers as vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.layers import arguments
from stepfit.layers.preprocessing import encoding
from stepfit.layers.preprocessing.base import DataLayer
from stepfit.layers.preprocessing.index_lookup import no_sparse


class CategoryEncoding(DataLayer):
    """Integers in ``[0, num_tokens)`` as vectors of length `num_tokens`.

    Args:
        num_tokens: int, how many categories there are.
        output_mode: "multi_hot" (one vector of zeros and ones for each row), "one_hot" (one for
            each integer) or "count" (one of counts for each row).
        sparse: False.

    `call` also takes `count_weights`, an array of the inputs' shape: what each integer counts for,
    with "count".

    Input: integers ``(batch, n)`` or ``(n,)``; output: ``(batch, num_tokens)``, with "one_hot"
    ``(batch, n, num_tokens)``.

    Raises:
        ValueError: outside compiled code, for integers beyond the categories.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.CategoryEncoding(3, "count")(np.array([[0, 2, 2]])).tolist()
    [[1.0, 0.0, 2.0]]
    """

    _looks_at_values = True

    def __init__(self, num_tokens=None, output_mode="multi_hot", sparse=False, **kwargs):
        kwargs.setdefault("autocast", False)  # a 16-bit float does not hold every index
        super().__init__(**kwargs)
        modes = encoding.MODES[1:]
        self.output_mode = encoding.output_mode(output_mode, "CategoryEncoding(output_mode)", modes)
        if num_tokens is None:
            raise errors.bad_value(
                "CategoryEncoding(num_tokens)", "a positive int", "None",
                "use IntegerLookup where it is not known",
            )  # fmt: skip
        self.num_tokens = arguments.positive_int(num_tokens, "CategoryEncoding(num_tokens)")
        no_sparse(sparse, "CategoryEncoding")
        self.sparse = sparse

    def call(self, inputs, count_weights=None):
        inputs = jnp.asarray(inputs)
        index = inputs if jnp.issubdtype(inputs.dtype, jnp.integer) else inputs.astype("int32")
        if isinstance(index, jax.core.Tracer):  # compiled code cannot raise: the rest is left out
            scopes.note_range(inputs, 0, self.num_tokens - 1, self._where(), "num_tokens")
        else:
            self._check_range(np.asarray(index))
        if count_weights is not None:
            if self.output_mode != "count":
                raise errors.bad_value(
                    f"{self._where()} count_weights",
                    f"None, with output_mode={self.output_mode!r}",
                    errors.describe(count_weights), 'use output_mode="count"',
                )  # fmt: skip
            count_weights = jnp.asarray(count_weights, self.compute_dtype)
            if count_weights.shape != index.shape:
                raise errors.bad_value(
                    f"{self._where()} count_weights", f"shape {index.shape}, as the inputs have",
                    f"shape {count_weights.shape}",
                )  # fmt: skip
        return encoding.encode(
            index, self.output_mode, self.num_tokens, self.compute_dtype, count_weights
        )

    def _check_range(self, index):
        low, high = (int(index.min()), int(index.max())) if index.size else (0, 0)
        if low < 0 or high >= self.num_tokens:
            raise errors.bad_value(
                f"{self._where()} input", f"integers in [0, {self.num_tokens - 1}]",
                f"{low if low < 0 else high}", "raise num_tokens",
            )  # fmt: skip
