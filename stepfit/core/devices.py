"""On which device arrays are made."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from stepfit.core import errors


@contextlib.contextmanager
def device(device_name: Any) -> Iterator[None]:
    """Make arrays on a device inside the block.

    Args:
        device_name: "cpu", "gpu:0", ..., or a `jax.Device`.

    >>> import stepfit as keras
    >>> with keras.device("cpu:0"):
    ...     keras.ops.zeros(2).device.platform
    'cpu'
    """
    with jax.default_device(_find(device_name)):
        yield


def _find(name):
    if not isinstance(name, str):
        if not isinstance(name, jax.Device):
            raise errors.bad_type("device(device_name)", "a name such as 'gpu:0'", name)
        return name
    kind, _, number = name.lower().strip("/").removeprefix("device:").partition(":")
    try:
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError):
        present = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
        raise errors.bad_value("device(device_name)", "a device that JAX has", repr(name),
                               f"there are {present}") from None  # fmt: skip
