"""Pooling to an output of given size, whatever the size of the input."""

import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.convolution import per_axis
from stepfit.ops.table import tensor


def _pool(where, inputs, output_size, data_format, reduce):
    """Reduce window i of each axis, the places from ``i * n / size`` to ``(i + 1) * n / size``."""
    inputs = jnp.asarray(tensor(inputs))
    rank = inputs.ndim - 2
    if rank not in (1, 2, 3):
        raise errors.bad_value(
            f"{where}(inputs)", "batch, 1 to 3 spatial axes, channels", errors.describe(inputs)
        )
    sizes = per_axis(output_size, rank, f"{where}(output_size)")
    first = 1 if standardize_data_format(data_format) == "channels_last" else 2
    for axis, size in enumerate(sizes, first):
        n, i = inputs.shape[axis], np.arange(size)
        starts, ends = i * n // size, -(-(i + 1) * n // size)
        places = starts[:, None] + np.arange(np.max(ends - starts, initial=1))
        inside = places < ends[:, None]
        windows = jnp.take(inputs, np.minimum(places, ends[:, None] - 1), axis=axis)
        trailing = (1,) * (inputs.ndim - axis - 1)
        inputs = reduce(windows, inside.reshape(*inside.shape, *trailing), axis + 1)
    return inputs


@op
def adaptive_average_pool(inputs, output_size, data_format=None):
    """Mean of windows that cover the input evenly, as many as `output_size` says.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        output_size: int or tuple of ints, the new size of each spatial axis.
        data_format: "channels_last" or "channels_first"; default of the config.

    Returns:
        ``(batch, *output_size, channels)``, or channels first.

    Raises:
        ValueError: no spatial axis, more than three, or another number of sizes.

    >>> import stepfit as keras
    >>> x = keras.ops.reshape([1.0, 2.0, 3.0, 4.0, 5.0], (1, 5, 1))
    >>> keras.ops.adaptive_average_pool(x, 2).ravel().tolist()
    [2.0, 4.0]
    """

    def mean(windows, inside, axis):
        inside = inside.astype(windows.dtype)
        return jnp.sum(windows * inside, axis=axis) / jnp.sum(inside, axis=1)

    return _pool("adaptive_average_pool", inputs, output_size, data_format, mean)


@op
def adaptive_max_pool(inputs, output_size, data_format=None):
    """Largest element of windows that cover the input evenly; see `adaptive_average_pool`.

    >>> import stepfit as keras
    >>> x = keras.ops.reshape([1.0, 2.0, 3.0, 4.0, 5.0], (1, 5, 1))
    >>> keras.ops.adaptive_max_pool(x, 2).ravel().tolist()
    [3.0, 5.0]
    """
    return _pool(
        "adaptive_max_pool", inputs, output_size, data_format,
        lambda windows, inside, axis: jnp.max(windows, axis=axis),  # repeats change no maximum
    )  # fmt: skip
