"""`validation_split`: the last part of the arrays, cut off before any shuffling."""

import math

from stepfit.core import errors
from stepfit.training.data import checks, leaves
from stepfit.training.data.arrays import looks_like_arrays, standardize
from stepfit.training.data.sparse import SparseRows


def split_validation(x, y, sample_weight, validation_split):
    """Return training and validation data.

    The last `n - floor(n * (1 - validation_split))` of n samples become validation data.

    Args:
        x, y, sample_weight: arrays or structures of arrays; y and sample_weight may be None.
        validation_split: number between 0 and 1, both excluded.

    Returns:
        `(x, y, sample_weight), (x, y, sample_weight)`: training, then validation.

    Raises:
        ValueError: where a part would hold no sample, or the data is not made of arrays.
    """
    share = checks.fraction(validation_split, "validation_split")
    if x is not None and not looks_like_arrays(x):
        fix = "pass validation_data, or cut the data before"
        raise errors.bad_type("validation_split", "arrays as x", errors.describe(x), fix)
    parts = standardize(x, y, sample_weight, ("x", "y", "sample_weight"))
    size = leaves.named_leaves(parts[0], "x")[0][1].shape[0]
    cut = math.floor(size * (1.0 - share))
    if cut in (0, size):
        which = "training" if cut == 0 else "validation"
        raise errors.bad_value(
            "validation_split",
            "at least one sample for training and one for validation",
            f"{share} of {size} samples, which leaves none for {which}",
            "pass more samples, another fraction, or validation_data",
        )

    def take(rows):
        def of(leaf, path):
            return leaf.cut(rows) if isinstance(leaf, SparseRows) else leaf[rows]

        return tuple(leaves.map_structure(of, part, "") for part in parts)

    return take(slice(None, cut)), take(slice(cut, None))
