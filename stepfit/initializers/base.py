"""What all initializers share, and those without randomness."""

import numbers

import numpy as np

from stepfit.core import arrays, dtypes, errors, registry


def shape_tuple(shape):
    """Return a shape (tuple, list or one int) as a tuple of ints."""
    return (int(shape),) if isinstance(shape, numbers.Integral) else tuple(int(d) for d in shape)


def numpy_dtype(dtype):
    """Return the NumPy dtype for a dtype name or None."""
    return dtypes.jax_dtype(dtypes.standardize_dtype(dtype))


class Initializer(registry.Configurable):
    """Base of initializers: subclasses implement ``__call__(shape, dtype=None) -> array``.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> class Ramp(keras.initializers.Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.linspace(0, 1, int(np.prod(shape))).reshape(shape).astype(dtype)
    >>> keras.Variable(Ramp(), shape=(3,)).numpy()
    array([0. , 0.5, 1. ], dtype=float32)
    """

    def __init__(self):
        super().__init__()

    def __call__(self, shape, dtype=None):
        """Return an array of `shape` (tuple of ints) and `dtype` (default `config.floatx()`)."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method __call__(self, shape, dtype=None) that "
            "returns an array, found none; define it."
        )

    def clone(self):
        """Return a new initializer with the same config."""
        return type(self).from_config(self.get_config())


class Constant(Initializer):
    """Fill with one value (or with an array that broadcasts to the shape).

    Args:
        value: a number, or an array.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.Constant(2.0)((2,))
    Array([2., 2.], dtype=float32)
    """

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        dtype = numpy_dtype(dtype)
        return arrays.handed_over(np.full(shape_tuple(shape), np.asarray(self.value), dtype), dtype)


class Zeros(Initializer):
    """Fill with zeros.

    >>> import stepfit as keras
    >>> keras.initializers.Zeros()((2,))
    Array([0., 0.], dtype=float32)
    """

    def __call__(self, shape, dtype=None):
        dtype = numpy_dtype(dtype)
        return arrays.handed_over(np.zeros(shape_tuple(shape), dtype), dtype)


class Ones(Initializer):
    """Fill with ones.

    >>> import stepfit as keras
    >>> keras.initializers.Ones()((2,))
    Array([1., 1.], dtype=float32)
    """

    def __call__(self, shape, dtype=None):
        dtype = numpy_dtype(dtype)
        return arrays.handed_over(np.ones(shape_tuple(shape), dtype), dtype)


class Identity(Initializer):
    """Fill with ``gain * identity`` (matrices only, square or not).

    Args:
        gain: factor.

    Raises:
        ValueError: on calling, a shape without exactly two axes.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.Identity(gain=2.0)((2, 2))
    Array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        shape = shape_tuple(shape)
        if len(shape) != 2:
            raise errors.bad_value("Identity(shape)", "two axes", f"shape {shape}")
        return arrays.handed_over(self.gain * np.eye(*shape), numpy_dtype(dtype))
