"""Random initializers whose spread follows from the number of units that a weight connects."""

import math
import numbers

import numpy as np

from stepfit.core import arrays, errors
from stepfit.initializers import random
from stepfit.initializers.base import shape_tuple

# Standard deviation of the standard normal distribution cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(random.RandomInitializer):
    """Draw with variance ``scale / n``, where `n` counts the units that a weight connects.

    Args:
        scale: positive float.
        mode: what `n` counts: "fan_in" (inputs), "fan_out" (outputs) or "fan_avg" (their mean).
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform" (on
            ``[-limit, limit)`` with ``limit = sqrt(3 * scale / n)``).
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, the axes that hold the inputs and the outputs;
            default: the last but one (times the axes before it) and the last.

    Raises:
        ValueError: `scale` not positive; unknown mode or distribution.

    Example:

    >>> import stepfit as keras
    >>> w = keras.initializers.VarianceScaling(2.0, distribution="uniform", seed=0)((600, 10))
    >>> bool(abs(w).max() <= 0.1)
    True

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852.
    """

    def __init__(
        self,
        scale=1.0,
        mode="fan_in",
        distribution="truncated_normal",
        seed=None,
        input_axes=None,
        output_axes=None,
    ):
        super().__init__(seed)
        where = type(self).__name__
        if not isinstance(scale, numbers.Real) or not float(scale) > 0:
            raise errors.bad_value(f"{where} scale", "a positive float", errors.describe(scale))
        if mode not in _MODES:
            raise errors.unknown_name(f"{where} mode", "mode", mode, _MODES)
        name = str(distribution).lower()
        name = "truncated_normal" if name == "normal" else name
        if name not in _DISTRIBUTIONS:
            raise errors.unknown_name(
                f"{where} distribution", "distribution", distribution, _DISTRIBUTIONS
            )
        self.scale = scale
        self.mode = mode
        self.distribution = name
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, n))
        method, factor = {
            "truncated_normal": (random.truncated, stddev / _TRUNCATED_STDDEV),
            "untruncated_normal": (random.normal, stddev),
            "uniform": (random.symmetric, math.sqrt(3.0) * stddev),
        }[self.distribution]
        values, dtype = self._draw(shape, dtype, method)
        return arrays.handed_over(values * np.asarray(factor, values.dtype), dtype)


def compute_fans(shape, input_axes=None, output_axes=None):
    """Return how many inputs and outputs a weight of `shape` connects.

    >>> compute_fans((3, 3, 16, 32))
    (144, 288)
    """
    shape = shape_tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _Named(VarianceScaling):
    """A named setting (scale, mode, distribution) of `VarianceScaling`."""

    _setting = (1.0, "fan_in", "truncated_normal")

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(*self._setting, seed, input_axes, output_axes)


class GlorotUniform(_Named):
    """Draw from the uniform distribution with limit ``sqrt(6 / (fan_in + fan_out))``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.GlorotUniform(seed=0)((3, 4)).shape
    (3, 4)

    Source: Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    _setting = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Draw from the truncated normal distribution with stddev ``sqrt(2 / (fan_in + fan_out))``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.GlorotNormal(seed=0)((3, 4)).shape
    (3, 4)

    Source: Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    _setting = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Draw from the uniform distribution with limit ``sqrt(6 / fan_in)``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.HeUniform(seed=0)((3, 4)).shape
    (3, 4)

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852.
    """

    _setting = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Draw from the truncated normal distribution with stddev ``sqrt(2 / fan_in)``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.HeNormal(seed=0)((3, 4)).shape
    (3, 4)

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852.
    """

    _setting = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Draw from the uniform distribution with limit ``sqrt(3 / fan_in)``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.LecunUniform(seed=0)((3, 4)).shape
    (3, 4)

    Source: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515.
    """

    _setting = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Draw from the truncated normal distribution with stddev ``sqrt(1 / fan_in)``.

    Args:
        seed: int, None or a `SeedGenerator`.
        input_axes, output_axes: lists of ints, as in `VarianceScaling`.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.LecunNormal(seed=0)((3, 4)).shape
    (3, 4)

    Source: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515.
    """

    _setting = (1.0, "fan_in", "truncated_normal")
