"""The three distributions: copies of the model, parts by hand, parts by size."""

import warnings
from typing import Any

from stepfit.core import errors
from stepfit.distribution.base import Distribution
from stepfit.distribution.layout import LayoutMap, TensorLayout
from stepfit.distribution.mesh import DeviceMesh, list_devices

_BATCH = "batch"
_LEAST = 1024  # elements; what is smaller is not worth cutting up


class DataParallel(Distribution):
    """Each device has the whole model, and computes a part of each batch.

    Args:
        device_mesh: a `DeviceMesh` of one axis.
        devices: names of devices, instead of a mesh; default all.
        auto_shard_dataset: see `docs/distribution.md`; with several processes, False says that each
            is given a share of its own.

    Raises:
        TypeError: `device_mesh` is none.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> parallel = keras.distribution.DataParallel(devices=["cpu:0"])
    >>> model.compile("sgd", "mse", distribution=parallel)
    >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None,
        auto_shard_dataset: bool = True,
    ):  # fmt: skip
        mesh = _mesh(device_mesh, devices)
        if isinstance(mesh, DeviceMesh) and len(mesh.shape) > 1:
            warnings.warn(
                f"DataParallel(device_mesh): expected a mesh of one axis, found axes "
                f"{list(mesh.axis_names)}; batches are spread over {mesh.axis_names[0]!r} alone.",
                UserWarning, stacklevel=errors.users_level(),
            )  # fmt: skip
        super().__init__(mesh, _first_axis(mesh), auto_shard_dataset)

    def get_variable_layout(self, variable):
        return self._replicate(variable)


class ModelParallel(Distribution):
    """Variables are spread as a `LayoutMap` says, batches over one axis of the mesh.

    A mesh of two axes combines both: copies of the model along one, its parts along the other.

    Args:
        layout_map: the `LayoutMap`; what it has no layout for is copied to every device.
        batch_dim_name: axis of the mesh that batches are spread over; default its first.
        auto_shard_dataset: as in `DataParallel`.

    Raises:
        TypeError: no layout map. ValueError: an axis that the mesh does not have.

    Example:

    >>> import stepfit as keras
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    >>> layouts = keras.distribution.LayoutMap(mesh)
    >>> layouts[".*kernel"] = (None, "model")
    >>> parallel = keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    >>> with parallel.scope():
    ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> tuple(model.layers[0].kernel.value.sharding.spec)
    (None, 'model')
    """

    def __init__(
        self, *, layout_map: LayoutMap | None = None, batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True, device_mesh: DeviceMesh | None = None,
    ):  # fmt: skip
        if not isinstance(layout_map, LayoutMap):
            found = errors.describe(layout_map)
            raise errors.bad_type("ModelParallel(layout_map)", "a LayoutMap", found)
        if device_mesh is not None and device_mesh is not layout_map.device_mesh:
            raise errors.bad_value(
                "ModelParallel(device_mesh)", "the mesh of layout_map", repr(device_mesh),
                "leave it out",
            )  # fmt: skip
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or _first_axis(mesh), auto_shard_dataset)
        self._layout_map = layout_map

    def get_variable_layout(self, variable):
        return _by_map(self._layout_map, variable) or self._replicate(variable)

    def get_tensor_layout(self, path):
        return self._layout_map[path]


class FullyShardedDataParallel(Distribution):
    """Each device computes a part of each batch and keeps a part of each variable.

    Of every variable, gradient and optimizer's value the largest axis that the devices divide is
    cut up; what is small, or cannot be cut, is copied. The devices bring a layer's weights together
    when they need them. So a model that does not fit one device trains without a layout map.

    Args:
        device_mesh: a `DeviceMesh`; default one axis of all devices.
        devices: names of devices, instead of a mesh.
        auto_shard_dataset: as in `DataParallel`.
        batch_dim_name: axis of the mesh that batches and variables are spread over; default its
            first.
        layout_map: `LayoutMap` for other axes of the mesh, which comes first: of what it has cut
            up, another axis is cut up here.
        least: variables of fewer elements than this are copied.

    Raises:
        TypeError, ValueError: naming the argument.

    Example:

    >>> import stepfit as keras
    >>> sharded = keras.distribution.FullyShardedDataParallel(devices=["cpu:0"])
    >>> with sharded.scope():
    ...     model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(128)])
    >>> [tuple(w.value.sharding.spec) for w in model.layers[0].weights]
    [(None, 'batch'), (None,)]

    Source: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models", 2020 (its third stage).
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None,
        auto_shard_dataset: bool = True, *, batch_dim_name: str | None = None,
        layout_map: LayoutMap | None = None, least: int = _LEAST,
    ):  # fmt: skip
        if layout_map is not None and not isinstance(layout_map, LayoutMap):
            where, found = "FullyShardedDataParallel(layout_map)", errors.describe(layout_map)
            raise errors.bad_type(where, "a LayoutMap, or None", found)
        if device_mesh is None and layout_map is not None:
            device_mesh = layout_map.device_mesh
        mesh = _mesh(device_mesh, devices)
        super().__init__(mesh, batch_dim_name or _first_axis(mesh), auto_shard_dataset)
        self._layout_map, self._least = layout_map, least

    def get_variable_layout(self, variable):
        axes: list[Any] = [None] * len(variable.shape)
        if self._layout_map is not None:
            given = _by_map(self._layout_map, variable)
            if given is not None:
                axes[: len(given.axes)] = given.axes
        if variable.size >= self._least:
            parts = self._device_mesh.size_of(self._batch_dim_name)
            free = [i for i, a in enumerate(axes) if a is None and variable.shape[i] % parts == 0]
            if free and not any(self._batch_dim_name in _names(a) for a in axes):
                axes[max(free, key=lambda i: variable.shape[i])] = self._batch_dim_name
        return TensorLayout(axes, self._device_mesh)

    def get_tensor_layout(self, path):
        return None if self._layout_map is None else self._layout_map[path]


def _by_map(layout_map, variable):
    """Return a Variable's layout: by its path, or that of the weight it is a slot of, or None."""
    weight = variable.reference
    if weight is not None and weight.shape == variable.shape:
        variable = weight
    return layout_map.of_variable(variable.path)


def _mesh(device_mesh, devices):
    if device_mesh is not None:
        return device_mesh
    devices = list_devices() if devices is None else list(devices)
    return DeviceMesh((len(devices),), [_BATCH], devices)


def _first_axis(mesh):
    return mesh.axis_names[0] if isinstance(mesh, DeviceMesh) else None


def _names(axis):
    return axis if isinstance(axis, tuple) else (axis,)
