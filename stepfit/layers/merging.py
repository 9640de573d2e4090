"""Layers that join several inputs into one, and their function forms."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import ops
from stepfit.core import errors
from stepfit.layers.layer import Layer


def _known(sizes):
    return {n for n in sizes if n is not None}


class _Merge(Layer):
    """Base: the inputs are a list of arrays with one batch size, whose shapes fit together."""

    count: int | None = None  # exact number of inputs, where there is one

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        name = self._where()
        if not isinstance(input_shape, (list, tuple)) or not all(
            isinstance(s, (list, tuple)) for s in input_shape
        ) or not input_shape:  # fmt: skip
            raise errors.bad_value(
                f"{name} inputs", "a list of arrays", "one array", f"call {type(self).__name__}()"
                "([x1, x2])",
            )  # fmt: skip
        if self.count is not None and len(input_shape) != self.count:
            raise errors.bad_value(f"{name} inputs", f"{self.count} arrays", f"{len(input_shape)}")
        if len(_known(s[0] for s in input_shape if s)) > 1:
            raise errors.bad_value(
                f"{name} inputs", "the same batch size", f"shapes {_list(input_shape)}"
            )
        self._check_shapes(input_shape)

    def _check_shapes(self, shapes):
        """Raise where the shapes do not fit; subclasses say what fits."""
        raise NotImplementedError


class _Elementwise(_Merge):
    """Base: shapes broadcast; inputs of lower rank get axes of size 1 after the batch."""

    _merge: Callable[[Any, Any], Any]

    def _check_shapes(self, shapes):
        rank = max(len(s) for s in shapes)
        raised = [(s[0], *[1] * (rank - len(s)), *s[1:]) for s in shapes if s]
        for axis in range(1, rank):
            if len(_known(s[axis] for s in raised) - {1}) > 1:
                raise errors.bad_value(
                    f"{self._where()} inputs", "shapes that broadcast", f"shapes {_list(shapes)}"
                )

    def call(self, inputs, mask=None):
        rank = max(x.ndim for x in inputs)
        inputs = [x.reshape(x.shape[0], *[1] * (rank - x.ndim), *x.shape[1:]) for x in inputs]
        masks = [None] * len(inputs) if mask is None else mask
        return self._merge(inputs, masks)

    def compute_mask(self, inputs, previous_mask=None):
        """True wherever any input has something; None unless all inputs have masks."""
        if previous_mask is None or any(m is None for m in previous_mask):
            return None
        return functools.reduce(jnp.logical_or, previous_mask)


def _list(shapes):
    return ", ".join(str(tuple(s)) for s in shapes)


def _over(mask, x):
    """Return a mask of the steps as one of the elements of `x`."""
    return None if mask is None else jnp.broadcast_to(mask[..., None], x.shape)


class Add(_Elementwise):
    """``x1 + x2 + ...``

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Add()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """

    def _merge(self, inputs, masks):
        return functools.reduce(jnp.add, inputs)


class Subtract(_Elementwise):
    """``x1 - x2``

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Subtract()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[0.0, 0.0]]
    """

    count = 2

    def _merge(self, inputs, masks):
        return inputs[0] - inputs[1]


class Multiply(_Elementwise):
    """``x1 * x2 * ...``; masked elements count as 1, and give 0 where all are masked.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
    [[6.0, 6.0]]
    """

    def _merge(self, inputs, masks):
        seen = [_over(m, x) for m, x in zip(masks, inputs, strict=True)]
        filled = [x if s is None else jnp.where(s, x, 1) for s, x in zip(seen, inputs, strict=True)]
        product = functools.reduce(jnp.multiply, filled)
        if any(s is None for s in seen):
            return product
        return jnp.where(functools.reduce(jnp.logical_or, seen), product, 0)


class Average(_Elementwise):
    """``(x1 + x2 + ...) / n``

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Average()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[0.5, 0.5]]
    """

    def _merge(self, inputs, masks):
        return functools.reduce(jnp.add, inputs) / len(inputs)


class _Extreme(_Elementwise):
    _extreme: Callable[[Any, Any], Any]

    def _merge(self, inputs, masks):
        """Fold with the extreme; where one side is masked, the other side's value is taken."""
        result, result_seen = inputs[0], _over(masks[0], inputs[0])
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            seen = _over(mask, x)
            if seen is not None:
                x = jnp.where(seen, x, result)
            if result_seen is not None:
                result = jnp.where(result_seen, result, x)
            both = seen is not None and result_seen is not None
            result_seen = jnp.logical_or(result_seen, seen) if both else None
            result = self._extreme(result, x)
        return result


class Maximum(_Extreme):
    """Largest of the inputs, element by element; masked elements do not count.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Maximum()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[1.0, 1.0]]
    """

    _extreme = staticmethod(jnp.maximum)


class Minimum(_Extreme):
    """Smallest of the inputs, element by element; masked elements do not count.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Minimum()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[0.0, 0.0]]
    """

    _extreme = staticmethod(jnp.minimum)


class Concatenate(_Merge):
    """The inputs one after the other along `axis`.

    Args:
        axis: the axis to join along.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Concatenate()([np.ones((1, 2)), np.ones((1, 3))]).shape
    (1, 5)
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def _check_shapes(self, shapes):
        rank = len(shapes[0])
        fits = all(len(s) == rank for s in shapes) and -rank <= self.axis < rank
        for axis in range(1, rank):
            if fits and axis != self.axis % rank:
                fits = len(_known(s[axis] for s in shapes)) <= 1
        if not fits:
            raise errors.bad_value(
                f"{self._where()} inputs", f"the same shape except on axis {self.axis}",
                f"shapes {_list(shapes)}",
            )  # fmt: skip

    def call(self, inputs):
        return jnp.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None or all(m is None for m in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                mask = jnp.ones(x.shape, bool)
            elif mask.ndim < x.ndim:
                mask = _over(mask, x)
            masks.append(mask)
        return jnp.any(jnp.concatenate(masks, axis=self.axis), axis=-1)


class Dot(_Merge):
    """Sum of products of two inputs over one axis each, sample by sample.

    Args:
        axes: the axis to sum over, or one axis per input; not the batch.
        normalize: whether both are scaled to length 1 along it first (cosine similarity).

    Output: ``(batch, *rest of x1, *rest of x2)``; at least ``(batch, 1)``.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Dot(axes=(1, 2))([np.ones((2, 3, 5)), np.ones((2, 10, 3))]).shape
    (2, 5, 10)
    """

    count = 2

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        both = (axes, axes) if isinstance(axes, int) else axes
        if (
            not isinstance(both, (list, tuple))
            or len(both) != 2
            or not all(isinstance(a, int) for a in both)
            or 0 in both
        ):
            raise errors.bad_value(
                "Dot(axes)", "an int or a pair of ints, other than the batch axis 0", repr(axes)
            )
        self.axes, self.normalize = axes, normalize

    def _pair(self, shapes):
        both = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return [a % len(s) for a, s in zip(both, shapes, strict=True)]

    def _check_shapes(self, shapes):
        first, second = self._pair(shapes)
        if len(_known((shapes[0][first], shapes[1][second]))) > 1:
            raise errors.bad_value(
                f"{self._where()} inputs", f"the same size on axes {first} and {second}",
                f"shapes {_list(shapes)}",
            )  # fmt: skip

    def call(self, inputs):
        first, second = inputs
        a, b = self._pair((first.shape, second.shape))
        if self.normalize:
            first, second = ops.normalize(first, axis=a), ops.normalize(second, axis=b)
        result = jnp.vectorize(
            lambda u, v: jnp.tensordot(u, v, axes=((a - 1,), (b - 1,))),
            signature=_signature(first.ndim, second.ndim, a, b),
        )(first, second)
        return result[:, None] if result.ndim == 1 else result

    def compute_mask(self, inputs, previous_mask=None):
        return None


def _signature(rank1, rank2, a, b):
    """Name the core axes of one sample for `jnp.vectorize`; the summed axis is called s."""
    left = ["s" if i == a else f"x{i}" for i in range(1, rank1)]
    right = ["s" if i == b else f"y{i}" for i in range(1, rank2)]
    rest = [n for n in (*left, *right) if n != "s"]
    return f"({','.join(left)}),({','.join(right)})->({','.join(rest)})"


def add(inputs, **kwargs):
    """``Add(**kwargs)(inputs)``"""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """``Subtract(**kwargs)(inputs)``"""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """``Multiply(**kwargs)(inputs)``"""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """``Average(**kwargs)(inputs)``"""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """``Maximum(**kwargs)(inputs)``"""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """``Minimum(**kwargs)(inputs)``"""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """``Concatenate(axis, **kwargs)(inputs)``"""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """``Dot(axes, **kwargs)(inputs)``"""
    return Dot(axes=axes, **kwargs)(inputs)
