"""Pooling over windows and over all space, in 1, 2 or 3 dimensions."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import ops
from stepfit.core.config import standardize_data_format
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class _Pooling(Layer):
    rank = 2
    _pool: Callable[..., Any]

    def __init__(self, pool_size, strides=None, padding="valid", data_format=None, **kwargs):
        super().__init__(**kwargs)
        name = type(self).__name__
        self.pool_size = arguments.ints(pool_size, self.rank, f"{name}(pool_size)")
        steps = self.pool_size if strides is None else strides
        self.strides = arguments.ints(steps, self.rank, f"{name}(strides)")
        self.padding = arguments.padding(padding, f"{name}(padding)")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return self._pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class _MaxPooling(_Pooling):
    _pool = staticmethod(ops.max_pool)

    def __init__(
        self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(pool_size, strides, padding, data_format, name=name, **kwargs)


class _AveragePooling(_Pooling):
    _pool = staticmethod(ops.average_pool)

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(pool_size, strides, padding, data_format, name=name, **kwargs)


class MaxPooling1D(_MaxPooling):
    """Largest element of each window of a sequence ``(batch, steps, channels)``.

    Args:
        pool_size, strides, padding, data_format: as in `MaxPooling2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.MaxPooling1D(2)(np.ones((2, 8, 3))).shape
    (2, 4, 3)
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """Largest element of each window of an image ``(batch, height, width, channels)``.

    Args:
        pool_size: window, int or ``(rows, columns)``.
        strides: how far apart windows lie; None: `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.MaxPooling2D()(np.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """


class MaxPooling3D(_MaxPooling):
    """Largest element of each window of a volume; arguments as in `MaxPooling2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.MaxPooling3D()(np.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """Mean of each window of a sequence; padding does not count. As `AveragePooling2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AveragePooling1D(2)(np.ones((2, 8, 3))).shape
    (2, 4, 3)
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """Mean of each window of an image; padding does not count.

    Args:
        pool_size, strides, padding, data_format: as in `MaxPooling2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AveragePooling2D(2)(np.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """


class AveragePooling3D(_AveragePooling):
    """Mean of each window of a volume; padding does not count. As `AveragePooling2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AveragePooling3D(2)(np.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3


class _GlobalPooling(Layer):
    rank = 2
    _reduce: Callable[..., Any]

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return self._reduce(inputs, self._space, keepdims=self.keepdims)

    @property
    def _space(self):
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))


class GlobalMaxPooling1D(_GlobalPooling):
    """Largest element over the steps of a sequence: ``(batch, steps, c) -> (batch, c)``.

    Args:
        data_format: "channels_last" or "channels_first".
        keepdims: whether the reduced axis stays, with size 1.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalMaxPooling1D()(np.ones((2, 8, 3))).shape
    (2, 3)
    """

    rank = 1
    _reduce = staticmethod(jnp.max)


class GlobalMaxPooling2D(_GlobalPooling):
    """Largest element over the space of an image; arguments as in `GlobalMaxPooling1D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalMaxPooling2D()(np.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    _reduce = staticmethod(jnp.max)


class GlobalMaxPooling3D(_GlobalPooling):
    """Largest element over the space of a volume; arguments as in `GlobalMaxPooling1D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalMaxPooling3D()(np.ones((2, 4, 4, 4, 3))).shape
    (2, 3)
    """

    rank = 3
    _reduce = staticmethod(jnp.max)


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean over the steps of a sequence; masked steps do not count.

    Args:
        data_format, keepdims: as in `GlobalMaxPooling1D`.

    Call arguments:
        mask: ``(batch, steps)``; True counts.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalAveragePooling1D()(np.ones((2, 8, 3))).shape
    (2, 3)
    """

    rank = 1
    _reduce = staticmethod(ops.mean)

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        mask = jnp.expand_dims(mask, self._channels).astype(bool)
        total = jnp.sum(jnp.where(mask, inputs, 0), self._space, keepdims=self.keepdims)
        return total / jnp.sum(mask.astype(inputs.dtype), self._space, keepdims=self.keepdims)

    @property
    def _channels(self):
        return 2 if self.data_format == "channels_last" else 1

    def compute_mask(self, inputs, previous_mask=None):
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean over the space of an image; arguments as in `GlobalMaxPooling1D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalAveragePooling2D()(np.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    _reduce = staticmethod(ops.mean)


class GlobalAveragePooling3D(_GlobalPooling):
    """Mean over the space of a volume; arguments as in `GlobalMaxPooling1D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GlobalAveragePooling3D()(np.ones((2, 4, 4, 4, 3))).shape
    (2, 3)
    """

    rank = 3
    _reduce = staticmethod(ops.mean)


class _AdaptivePooling(Layer):
    rank = 2
    _pool: Callable[..., Any]

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        where = f"{type(self).__name__}(output_size)"
        self.output_size = arguments.ints(output_size, self.rank, where)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return self._pool(inputs, self.output_size, self.data_format)


class _AdaptiveAveragePooling(_AdaptivePooling):
    _pool = staticmethod(ops.adaptive_average_pool)


class _AdaptiveMaxPooling(_AdaptivePooling):
    _pool = staticmethod(ops.adaptive_max_pool)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """Mean of windows that cover a sequence evenly, as many as asked for.

    Args:
        output_size: int, the number of steps of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveAveragePooling1D(3)(np.ones((2, 8, 3))).shape
    (2, 3, 3)
    """

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """Mean of windows that cover an image evenly, as many as asked for.

    Args:
        output_size: int or ``(rows, columns)`` of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveAveragePooling2D(4)(np.ones((2, 8, 6, 3))).shape
    (2, 4, 4, 3)
    """


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """Mean of windows that cover a volume evenly, as many as asked for.

    Args:
        output_size: int or three ints of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveAveragePooling3D(2)(np.ones((1, 4, 6, 5, 2))).shape
    (1, 2, 2, 2, 2)
    """

    rank = 3


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """Largest element of windows that cover a sequence evenly, as many as asked for.

    Args:
        output_size: int, the number of steps of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveMaxPooling1D(3)(np.ones((2, 8, 3))).shape
    (2, 3, 3)
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """Largest element of windows that cover an image evenly, as many as asked for.

    Args:
        output_size: int or ``(rows, columns)`` of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveMaxPooling2D(4)(np.ones((2, 8, 6, 3))).shape
    (2, 4, 4, 3)
    """


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """Largest element of windows that cover a volume evenly, as many as asked for.

    Args:
        output_size: int or three ints of the output.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdaptiveMaxPooling3D(2)(np.ones((1, 4, 6, 5, 2))).shape
    (1, 2, 2, 2, 2)
    """

    rank = 3
