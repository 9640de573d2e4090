"""`Rescaling`: numbers moved to another range."""

import jax.numpy as jnp
import numpy as np

from stepfit.core import config
from stepfit.layers.preprocessing.base import DataLayer


class Rescaling(DataLayer):
    """``x * scale + offset``, in inference and training alike.

    Args:
        scale: number, or one per channel; ``1 / 255`` takes bytes to [0, 1].
        offset: number, or one per channel.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.Rescaling(1 / 255)(np.array([[0, 255]], "uint8"))
    >>> [round(v, 3) for v in y.ravel().tolist()]
    [0.0, 1.0]
    """

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = _plain(scale), _plain(offset)
        self.supports_masking = True
        self.autocast = False  # inputs may be beyond 16-bit floats

    def call(self, inputs):
        small = self.compute_dtype in ("float16", "bfloat16")
        dtype = "float32" if small else self.compute_dtype
        scale, offset = jnp.asarray(self.scale, dtype), jnp.asarray(self.offset, dtype)
        if scale.ndim and config.image_data_format() == "channels_first":
            scale = scale.reshape(*scale.shape, *[1] * (3 - scale.ndim))
            if offset.ndim:
                offset = offset.reshape(*offset.shape, *[1] * (3 - offset.ndim))
        return (inputs.astype(dtype) * scale + offset).astype(self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


def _plain(value):
    """Return a number or an array as plain data."""
    return np.asarray(value).tolist() if not isinstance(value, (int, float)) else value
