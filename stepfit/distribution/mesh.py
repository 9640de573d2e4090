"""Devices, and how they are arranged: a mesh with named axes."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stepfit.core import errors, placement

_KINDS = ("cpu", "gpu", "tpu")


def list_devices(device_type: str | None = None) -> list[str]:
    """Return the names of all devices, those of other processes included: ``["cpu:0", ...]``.

    Args:
        device_type: "cpu", "gpu" or "tpu"; default: accelerators where there are some, else CPUs.

    Raises:
        ValueError: another name. RuntimeError: there is no such device.

    >>> import stepfit as keras
    >>> keras.distribution.list_devices("cpu")[0]
    'cpu:0'
    """
    return [f"{_kind_of(d)}:{d.id}" for d in _devices(device_type)]


def get_device_count(device_type: str | None = None) -> int:
    """Return how many devices `list_devices` lists.

    >>> import stepfit as keras
    >>> keras.distribution.get_device_count("cpu") == len(keras.distribution.list_devices("cpu"))
    True
    """
    return len(_devices(device_type))


def _devices(device_type):
    if device_type is None:
        return jax.devices()
    kind = str(device_type).lower()
    if kind not in _KINDS:
        raise errors.unknown_name("list_devices(device_type)", "device type", device_type, _KINDS)
    return jax.devices(kind)


def _kind_of(device):
    return "gpu" if device.platform in ("gpu", "cuda", "rocm") else device.platform


def find_device(name):
    """Return the JAX device of a name such as "cpu:0" ("0" alone: of the default kind).

    Raises:
        ValueError: there is none of this name.
    """
    if isinstance(name, jax.Device):
        return name
    kind, _, number = str(name).rpartition(":")
    known = {"cuda": "gpu", "rocm": "gpu"}
    kind = known.get(kind.lower(), kind.lower())
    if kind in ("", *_KINDS):
        try:
            found = _devices(kind or None)
        except RuntimeError:
            found = []
        for device in found:
            if str(device.id) == number:
                return device
    raise errors.bad_value(
        "DeviceMesh(devices)", "names of devices that list_devices() lists", repr(str(name))
    )


class DeviceMesh:
    """Devices in a grid whose axes have names.

    Args:
        shape: tuple of ints, such as (8,) or (4, 2).
        axis_names: list of names, one per axis, such as ["batch"] or ["batch", "model"].
        devices: list or array of names of devices; default `list_devices()`.

    Raises:
        ValueError: lengths or the number of devices do not fit.

    Example:

    >>> import stepfit as keras
    >>> keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    <DeviceMesh shape=(1, 1), axis_names=['batch', 'model']>
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None):
        if not shape or not axis_names or len(shape) != len(axis_names):
            raise errors.bad_value(
                "DeviceMesh(shape, axis_names)", "a size and a name for each axis",
                f"shape {shape}, axis_names {axis_names}",
            )  # fmt: skip
        if len(set(axis_names)) < len(axis_names):
            raise errors.bad_value(
                "DeviceMesh(axis_names)", "names that differ", repr(list(axis_names))
            )
        names = np.array(list_devices() if devices is None else devices)
        if placement.only_planned() and devices is None:  # there are as many as one likes
            names = names[: math.prod(shape)]
        if math.prod(shape) != names.size:
            raise errors.bad_value(
                f"DeviceMesh(shape={tuple(shape)})", f"{math.prod(shape)} devices",
                f"{names.size}", "list_devices() shows what there is; pass devices=[...] for some",
            )  # fmt: skip
        self._shape, self._axis_names = shape, axis_names
        self._devices = names.reshape(tuple(shape))
        self._backend_mesh: Any = None

    @property
    def shape(self):
        """The sizes of the axes."""
        return self._shape

    @property
    def axis_names(self):
        """The names of the axes."""
        return self._axis_names

    @property
    def devices(self) -> np.ndarray:
        """The names of the devices, in an array of the mesh's shape."""
        return self._devices

    @property
    def backend_mesh(self) -> jax.sharding.Mesh:
        """The same as a `jax.sharding.Mesh`."""
        if self._backend_mesh is None:
            found = np.array([find_device(d) for d in self._devices.flat], object)
            kind = jax.sharding.AxisType.Auto
            self._backend_mesh = jax.sharding.Mesh(
                found.reshape(self._devices.shape), tuple(self._axis_names),
                axis_types=(kind,) * len(self._axis_names),
            )  # fmt: skip
        return self._backend_mesh

    def size_of(self, axes: Any) -> int:
        """Return how many parts an axis, or a tuple of axes, of the mesh makes (None: one)."""
        sizes = dict(zip(self._axis_names, self._shape, strict=True))
        axes = (axes,) if isinstance(axes, str) else axes or ()
        return math.prod(sizes[a] for a in axes)

    def __repr__(self):
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"
