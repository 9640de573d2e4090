"""Layers that move or repeat elements: flatten, reshape, pad, crop, enlarge."""

import math

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class Flatten(Layer):
    """``(batch, ...) -> (batch, product of the rest)``.

    Args:
        data_format: with "channels_first", channels go last before flattening.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = jnp.moveaxis(inputs, 1, -1)
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))


class Reshape(Layer):
    """``(batch, ...) -> (batch, *target_shape)``.

    Args:
        target_shape: tuple of ints without the batch; at most one -1, which is inferred.

    Raises:
        ValueError: where the numbers of elements differ.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Reshape((2, -1))(np.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        bad = [d for d in shape if not hasattr(d, "__index__") or d < -1 or d == 0]
        if bad or sum(d == -1 for d in shape) > 1:
            raise errors.bad_value(
                "Reshape(target_shape)", "positive ints and at most one -1", repr(target_shape)
            )
        self.target_shape = shape

    def call(self, inputs):
        size, fixed = math.prod(inputs.shape[1:]), math.prod(d for d in self.target_shape if d > 0)
        if size % fixed or (-1 not in self.target_shape and size != fixed):
            raise errors.bad_value(
                f"{self._where()} input",
                f"{'a multiple of ' if -1 in self.target_shape else ''}{fixed} elements per sample "
                f"for target_shape {self.target_shape}",
                f"{size}, shape {tuple(inputs.shape)}",
            )
        shape = [size // fixed if d == -1 else d for d in self.target_shape]
        return inputs.reshape(inputs.shape[0], *shape)


class Permute(Layer):
    """Axes in another order, the batch staying first.

    Args:
        dims: permutation of ``1 ... rank``: axis i of the output is axis ``dims[i - 1]`` of the
            input.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Permute((2, 1))(np.ones((5, 2, 3))).shape
    (5, 3, 2)
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise errors.bad_value(
                "Permute(dims)", f"a permutation of 1 ... {len(self.dims)}", repr(dims)
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs):
        return jnp.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """``(batch, features) -> (batch, n, features)``.

    Args:
        n: how often each vector is repeated.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.RepeatVector(3)(np.ones((2, 4))).shape
    (2, 3, 4)
    """

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = arguments.positive_int(n, "RepeatVector(n)")
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs):
        return jnp.repeat(inputs[:, None], self.n, axis=1)


class _Spatial(Layer):
    """Base of layers that act on `rank` spatial axes in either data format."""

    rank = 2

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _first(self):
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def _on_space(self, values, elsewhere):
        """Return one value per axis of the input: `values` on space, `elsewhere` on the others."""
        rest = (elsewhere,) * (self.rank + 2 - self._first - self.rank)
        return (*((elsewhere,) * self._first), *values, *rest)


class _ZeroPadding(_Spatial):
    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.padding = arguments.margins(padding, self.rank, f"{type(self).__name__}(padding)")

    def call(self, inputs):
        return jnp.pad(inputs, self._on_space(self.padding, (0, 0)))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence.

    Args:
        padding: int, or ``(before, after)``.
        data_format: "channels_last" ``(batch, steps, channels)`` or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ZeroPadding1D((1, 2))(np.ones((2, 4, 3))).shape
    (2, 7, 3)
    """

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Args:
        padding: int, one int per axis, or ``((top, bottom), (left, right))``.
        data_format: "channels_last" ``(batch, height, width, channels)`` or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ZeroPadding2D(((1, 0), (2, 2)))(np.ones((2, 4, 4, 3))).shape
    (2, 5, 8, 3)
    """


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume.

    Args:
        padding: int, one int per axis, or one pair per axis.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ZeroPadding3D(1)(np.ones((2, 4, 4, 4, 3))).shape
    (2, 6, 6, 6, 3)
    """

    rank = 3


class _Cropping(_Spatial):
    def __init__(self, cropping, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.cropping = arguments.margins(cropping, self.rank, f"{type(self).__name__}(cropping)")

    def call(self, inputs):
        sizes = inputs.shape[self._first : self._first + self.rank]
        for axis, (size, (before, after)) in enumerate(zip(sizes, self.cropping, strict=True)):
            if before + after >= size:
                raise errors.bad_value(
                    f"{self._where()} input axis {self._first + axis}",
                    f"more than the {before + after} elements that are cropped", f"{size}",
                )  # fmt: skip
        cuts = [slice(b, n - a) for n, (b, a) in zip(sizes, self.cropping, strict=True)]
        return inputs[self._on_space(cuts, slice(None))]


class Cropping1D(_Cropping):
    """A sequence without its first and last steps.

    Args:
        cropping: int, or ``(before, after)``.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Cropping1D((1, 2))(np.ones((2, 6, 3))).shape
    (2, 3, 3)
    """

    rank = 1

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(cropping, "channels_last", **kwargs)


class Cropping2D(_Cropping):
    """An image without its margins.

    Args:
        cropping: int, one int per axis, or ``((top, bottom), (left, right))``.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Cropping2D(((1, 1), (0, 2)))(np.ones((2, 6, 6, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """A volume without its margins.

    Args:
        cropping: int, one int per axis, or one pair per axis.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Cropping3D(1)(np.ones((2, 6, 6, 6, 3))).shape
    (2, 4, 4, 4, 3)
    """

    rank = 3

    def __init__(self, cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class _UpSampling(_Spatial):
    def __init__(self, size=2, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.size = arguments.ints(size, self.rank, f"{type(self).__name__}(size)")

    def call(self, inputs):
        for axis, times in enumerate(self.size, start=self._first):
            inputs = jnp.repeat(inputs, times, axis=axis)
        return inputs


class UpSampling1D(_UpSampling):
    """Repeats each step of a sequence `size` times.

    Args:
        size: how often.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.UpSampling1D(2)(np.ones((2, 3, 4))).shape
    (2, 6, 4)
    """

    rank = 1

    def __init__(self, size=2, **kwargs):
        super().__init__(size, "channels_last", **kwargs)


_METHODS = {"bilinear": "linear", "bicubic": "cubic", "lanczos3": "lanczos3",
            "lanczos5": "lanczos5", "nearest": "nearest"}  # fmt: skip


class UpSampling2D(_UpSampling):
    """Enlarges images by whole factors.

    Args:
        size: factor, or ``(rows, columns)``.
        data_format: "channels_last" or "channels_first".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.UpSampling2D((2, 3))(np.ones((2, 4, 4, 3))).shape
    (2, 8, 12, 3)
    """

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        super().__init__(size, data_format, **kwargs)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in _METHODS:
            raise errors.unknown_name(
                "UpSampling2D(interpolation)", "interpolation", interpolation, _METHODS
            )

    def call(self, inputs):
        if self.interpolation == "nearest":
            return super().call(inputs)
        factors = self._on_space(self.size, 1)
        shape = [n * factor for n, factor in zip(inputs.shape, factors, strict=True)]
        return jax.image.resize(inputs, shape, _METHODS[self.interpolation], antialias=False)


class UpSampling3D(_UpSampling):
    """Repeats the elements of volumes `size` times along each axis.

    Args:
        size: factor, or one per axis.
        data_format: "channels_last" or "channels_first".

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.UpSampling3D(2)(np.ones((2, 3, 3, 3, 4))).shape
    (2, 6, 6, 6, 4)
    """

    rank = 3
