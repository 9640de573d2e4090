"""Distribution: the same script on one device, eight, or many hosts.

A *mesh* is devices in a grid whose axes have names. A *layout* says for each axis of an array which
axis of the mesh it is spread over. A *distribution* gives each variable its layout, and spreads
batches. The compiler (GSPMD) does the rest: the numbers are those of one device.
"""

from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.distribution.base import Distribution, distribution, set_distribution
from stepfit.distribution.initialize import initialize
from stepfit.distribution.layout import LayoutMap, TensorLayout, distribute_tensor
from stepfit.distribution.mesh import DeviceMesh, get_device_count, list_devices
from stepfit.distribution.strategies import (
    DataParallel,
    FullyShardedDataParallel,
    ModelParallel,
)

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "Distribution",
    "FullyShardedDataParallel",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
