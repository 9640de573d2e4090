"""Arrays from the host to the device, with nothing to compile on the way.

JAX compiles a program per shape where it changes a dtype, copies an array, or makes one from a
NumPy array whose dtype it is not told. A model has dozens of shapes; making it should need none.
"""

import jax
import jax.numpy as jnp
import numpy as np

_NUMBERS = (bool, int, float, np.bool_, np.number, np.ndarray)


def handed_over(value, dtype):
    """Return a JAX array with the numbers of a NumPy array that nobody uses any more.

    A device that reads the host's memory may use that of the NumPy array.
    """
    return jnp.asarray(_cast(value, dtype), dtype)


def from_host(value, dtype):
    """Return a JAX array of a dtype, with memory of its own, for numbers or a nested list."""
    if not isinstance(value, _NUMBERS):
        return jnp.array(value, dtype)
    return handed_over(np.array(value), dtype)


def copied(value):
    """Return a copy of a JAX array, where the array is."""
    if isinstance(value, jax.core.Tracer) or value.weak_type:
        return jnp.array(value, dtype=value.dtype)
    if not value.is_fully_addressable:  # device_put would not know what to do with the rest
        parts = [jax.device_put(s.data, may_alias=False) for s in value.addressable_shards]
        return jax.make_array_from_single_device_arrays(value.shape, value.sharding, parts)
    return jax.device_put(value, may_alias=False)


def _cast(value, dtype):
    same = value.dtype == dtype or value.dtype.kind not in "biuf"
    return value if same else value.astype(dtype)
