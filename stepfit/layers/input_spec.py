"""InputSpec: what a layer expects of its input, checked before its maths runs."""

import jax

from stepfit.core import errors, symbolic


class InputSpec:
    """The rank, sizes and dtype that a layer expects of an input.

    Args:
        dtype: dtype name.
        shape: tuple with None for sizes that may vary.
        ndim, min_ndim, max_ndim: rank.
        axes: dict from axis to size.
        allow_last_axis_squeeze: accept a missing last axis of size 1.
        name: accepted for Keras's signature.
    """

    def __init__(
        self,
        dtype=None,
        shape=None,
        ndim=None,
        max_ndim=None,
        min_ndim=None,
        axes=None,
        allow_last_axis_squeeze=False,
        name=None,
        optional=False,
    ):
        self.dtype, self.name, self.optional = dtype, name, optional
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze

    def check(self, x, where):
        """Raise the error that names what is wrong with `x`, if anything is."""
        shape = tuple(x.shape)
        if self.shape is not None and self.allow_last_axis_squeeze:
            if shape and shape[-1] == 1 and len(shape) == len(self.shape) + 1:
                shape = shape[:-1]
            elif self.shape and self.shape[-1] == 1 and len(shape) == len(self.shape) - 1:
                shape = (*shape, 1)
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            raise errors.bad_value(
                f"{where} input", f"{self.ndim} axes", f"{rank} axes, shape {shape}"
            )
        if self.min_ndim is not None and rank < self.min_ndim:
            raise errors.bad_value(
                f"{where} input", f"at least {self.min_ndim} axes", f"{rank} axes, shape {shape}"
            )
        if self.max_ndim is not None and rank > self.max_ndim:
            raise errors.bad_value(
                f"{where} input", f"at most {self.max_ndim} axes", f"{rank} axes, shape {shape}"
            )
        for axis, size in self.axes.items():
            if size is not None and -rank <= axis < rank and shape[axis] not in (size, None):
                raise errors.bad_value(
                    f"{where} input axis {axis}", f"size {size} (as built)",
                    f"size {shape[axis]}, shape {shape}",
                )  # fmt: skip
        for axis, size in enumerate(self.shape or ()):
            if size is not None and shape[axis] not in (size, None):
                raise errors.bad_value(f"{where} input", f"shape {self.shape}", f"shape {shape}")


def check(spec, inputs, where):
    """Check a structure of inputs against one `InputSpec` or a structure of them."""
    specs = jax.tree.leaves(spec, is_leaf=lambda s: isinstance(s, InputSpec))
    arrays = [x for x in symbolic.leaves(inputs) if hasattr(x, "shape")]
    if len(specs) != len(arrays):
        if len(specs) == 1 and not isinstance(spec, InputSpec):
            return
        raise errors.bad_value(f"{where} inputs", f"{len(specs)} arrays", f"{len(arrays)}")
    for one, x in zip(specs, arrays, strict=True):
        one.check(x, where)
