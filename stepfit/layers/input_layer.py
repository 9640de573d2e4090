"""Input: the symbolic tensor that a model's graph begins with."""

from collections.abc import Sequence
from typing import Any

from stepfit.core import dtypes, errors, symbolic
from stepfit.layers.layer import Layer


class InputLayer(Layer):
    """The node of a graph that stands for data to come.

    Args:
        shape: tuple without the batch axis; None for sizes not known.
        batch_size: size of the batch axis, None where it may vary.
        dtype: dtype name; default `config.floatx()`.
        batch_shape: the shape with the batch axis, in place of `shape` and `batch_size`.
        name: name, by which dict inputs find it.
    """

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        sparse=None,
        batch_shape=None,
        input_tensor=None,
        optional=False,
        name=None,
        **kwargs,
    ):
        super().__init__(name=name or None, **kwargs)
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        if shape is not None and batch_shape is not None:
            raise errors.bad_value("Input(shape, batch_shape)", "one of the two", "both")
        if shape is None and batch_shape is None:
            raise errors.bad_value(
                "Input(shape)", "a tuple such as (28, 28, 1)", "None", "the batch axis is left out"
            )
        if batch_shape is None:
            batch_shape = (batch_size, *_as_shape(shape, "Input(shape)"))
        self.batch_shape = _as_shape(batch_shape, "Input(batch_shape)")
        self._input_dtype = dtypes.standardize_dtype(dtype)
        self.built, self.optional = True, optional
        tensor = symbolic.KerasTensor(self.batch_shape, self._input_dtype, name=self.name)
        self._inbound_nodes.append(symbolic.Node(self, (), {}, tensor))

    def call(self, *args, **kwargs):
        """An input is fed, not called."""
        raise errors.StepfitRuntimeError(f"{self._where()}: expected to be fed data, found a call.")

    @property
    def dtype(self):
        """The dtype of the input."""
        return self._input_dtype

    def _current_config(self):
        return {"batch_shape": self.batch_shape, "shape": None, "batch_size": None,
                "dtype": self._input_dtype, "name": self.name, "input_tensor": None}  # fmt: skip


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: symbolic.KerasTensor | None = None,
    optional: bool = False,
) -> symbolic.KerasTensor:
    """Return a symbolic tensor to build a model on.

    Args:
        shape: tuple without the batch axis; None for sizes not known.
        batch_size: size of the batch axis, None where it may vary.
        dtype: dtype name; default `config.floatx()`.
        batch_shape: the shape with the batch axis, in place of `shape` and `batch_size`.
        name: name, by which dict inputs find it.

    Returns:
        A `KerasTensor`.

    Example:

    >>> import stepfit as keras
    >>> x = keras.Input((4,))
    >>> y = keras.layers.Dense(2)(x)
    >>> y.shape
    (None, 2)
    """
    layer = InputLayer(
        shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse, batch_shape=batch_shape,
        name=name, input_tensor=tensor, optional=optional,
    )  # fmt: skip
    return layer.output


def _as_shape(shape, where):
    if isinstance(shape, int):
        raise errors.bad_type(where, "a tuple", shape, f"write ({shape},)")
    shape = tuple(shape)
    for d in shape:
        if d is not None and (not hasattr(d, "__index__") or d < 0):
            raise errors.bad_value(where, "non-negative ints and None", str(shape))
    return shape
