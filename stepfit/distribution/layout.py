"""Layouts: which axis of an array is spread over which axis of the mesh."""

import collections
import collections.abc
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from stepfit.core import errors, placement
from stepfit.core.symbolic import is_symbolic
from stepfit.distribution.mesh import DeviceMesh


class TensorLayout:
    """For each axis of an array, the axis of the mesh that it is spread over, or None.

    Args:
        axes: tuple of names of the mesh's axes and None; an element may be a tuple of names.
        device_mesh: the `DeviceMesh`; may be set later.

    Raises:
        ValueError: a name that the mesh does not have, or one that stands there twice.

    Example:

    >>> import stepfit as keras
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    >>> keras.distribution.TensorLayout((None, "model"), mesh)
    <TensorLayout axes=(None, 'model'), device_mesh=<DeviceMesh shape=(1, 1), axis_names=['batch', \
'model']>>
    """

    def __init__(self, axes: Sequence[Any], device_mesh: DeviceMesh | None = None):
        self._axes = tuple(axes)
        self._device_mesh = device_mesh
        self._backend_layout: Any = None
        self._check()

    @property
    def axes(self) -> tuple:
        """For each axis of the array: a name, a tuple of names, or None."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh; it can be set once."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise errors.bad_value(
                "TensorLayout.device_mesh", "a layout without a mesh", f"{self._device_mesh}",
                "make another layout",
            )  # fmt: skip
        self._device_mesh = device_mesh
        self._check()

    @property
    def backend_layout(self) -> jax.sharding.NamedSharding:
        """The same as a `jax.sharding.NamedSharding`."""
        if self._device_mesh is None:
            raise errors.bad_value(
                "TensorLayout.backend_layout", "a layout with a mesh", "device_mesh=None"
            )
        if self._backend_layout is None:
            spec = jax.sharding.PartitionSpec(*self._axes)
            self._backend_layout = jax.sharding.NamedSharding(self._device_mesh.backend_mesh, spec)
        return self._backend_layout

    def check_fits(self, shape, where):
        """Raise where an array of a shape cannot be spread like this.

        Args:
            shape: tuple of ints.
            where: what messages call the array.
        """
        if len(self._axes) > len(shape):
            raise errors.bad_value(
                where, f"a layout of at most {len(shape)} axes, for shape {tuple(shape)}",
                f"{self._axes}",
            )  # fmt: skip
        for number, (axis, size) in enumerate(zip(self._axes, shape, strict=False)):
            parts = 1 if self._device_mesh is None else self._device_mesh.size_of(axis)
            if size % parts:
                raise errors.bad_value(
                    where, f"axis {number} of a size that {axis!r}, {parts} devices, divides",
                    f"shape {tuple(shape)}", "give this axis None in its layout",
                )  # fmt: skip

    def fitted(self, shape):
        """Return this layout without the axes that cannot be spread, for an array of a shape."""
        if len(self._axes) > len(shape) or self._device_mesh is None:
            return self  # for an error
        sizes = zip(self._axes, shape, strict=False)
        axes = [None if n % self._device_mesh.size_of(axis) else axis for axis, n in sizes]
        return self if axes == list(self._axes) else TensorLayout(axes, self._device_mesh)

    def _check(self):
        named = [a for axis in self._axes for a in (axis if isinstance(axis, tuple) else (axis,))]
        named = [a for a in named if a is not None]
        if len(set(named)) < len(named):
            raise errors.bad_value(
                "TensorLayout(axes)", "each axis of the mesh at most once", f"{self._axes}"
            )
        known = named if self._device_mesh is None else self._device_mesh.axis_names
        for name in named:
            if name not in known:
                raise errors.unknown_name("TensorLayout(axes)", "mesh axis", name, known)

    def __repr__(self):
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(collections.abc.MutableMapping):
    """Layouts by the paths of variables; keys are regular expressions.

    A path has the layout of the key that equals it, else of the one key that matches all of it,
    else None. A key ``"dense/output"`` spreads what the layer called "dense" returns.

    Args:
        device_mesh: the `DeviceMesh`.

    Raises:
        ValueError: a key that is there already; on reading, a path that two keys match.

    Warns:
        UserWarning: a key matches the end of a variable's path, and no whole path before it.

    Example:

    >>> import stepfit as keras
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    >>> layouts = keras.distribution.LayoutMap(mesh)
    >>> layouts[".*dense.*kernel"] = (None, "model")
    >>> layouts["model/dense_3/kernel"].axes, layouts["model/dense_3/bias"]
    ((None, 'model'), None)
    """

    def __init__(self, device_mesh: DeviceMesh):
        self._layouts: dict[str, TensorLayout] = {}
        self._device_mesh = device_mesh
        self._settled: set[str] = set()  # keys that matched a variable, or were warned of

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh."""
        return self._device_mesh

    def of_variable(self, path: str) -> TensorLayout | None:
        """Return the layout of a variable's path, or None; warn where a key nearly matches it."""
        layout = self[path]
        for key in self._layouts.keys() - self._settled:
            whole = layout is not None and (key == path or re.fullmatch(key, path))
            if whole or (layout is None and re.fullmatch(f".*/(?:{key})", path)):
                self._settled.add(key)
                if not whole:
                    warnings.warn(
                        f"LayoutMap[{key!r}]: expected a key that matches the whole path of a "
                        f"variable, found one that matches the end of {path!r}, which is copied "
                        f"to every device; write {'.*' + key!r}.",
                        UserWarning, stacklevel=errors.users_level(),
                    )  # fmt: skip
        return layout

    def __getitem__(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        matching = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise errors.bad_value(
                f"LayoutMap[{key!r}]", "one key that matches", f"{matching}",
                "make the keys more special, so that each path has one layout",
            )  # fmt: skip
        return self._layouts[matching[0]] if matching else None

    def __setitem__(self, key: str, layout: Any) -> None:
        where = f"LayoutMap[{key!r}]"
        if key in self._layouts:
            raise errors.bad_value(where, "a key that is not there yet", "one that is")
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            expected = "a TensorLayout, or a tuple of names of axes and None"
            raise errors.bad_type(where, expected, errors.describe(layout))
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __contains__(self, key: object) -> bool:
        return key in self._layouts

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)

    def __len__(self) -> int:
        return len(self._layouts)


def distribute_tensor(tensor: Any, layout: Any) -> Any:
    """Return an array spread as a layout says; inside a compiled function, ask for it.

    Args:
        tensor: an array, or a symbolic tensor (returned as it is).
        layout: a `TensorLayout`, or a `jax.sharding.Sharding`.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> mesh = keras.distribution.DeviceMesh((1,), ["batch"], devices=["cpu:0"])
    >>> layout = keras.distribution.TensorLayout(("batch", None), mesh)
    >>> tuple(keras.distribution.distribute_tensor(np.ones((2, 3)), layout).sharding.spec)
    ('batch', None)
    """
    if is_symbolic(tensor):
        return tensor
    if isinstance(layout, TensorLayout):
        layout.check_fits(tuple(tensor.shape), "distribute_tensor(layout)")
        layout = layout.backend_layout
    if isinstance(tensor, jax.core.Tracer):
        return jax.lax.with_sharding_constraint(tensor, layout)
    return placement.placed(tensor, layout)
