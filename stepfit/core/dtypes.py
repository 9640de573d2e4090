"""Dtypes as strings, and the policies that pick one dtype to compute in and one to store in."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors

FLOATS = ("bfloat16", "float16", "float32", "float64")
_KNOWN = (
    *FLOATS, "bool", "complex64", "complex128", "int4", "int8", "int16", "int32", "int64",
    "uint4", "uint8", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
_NARROW = {"float64": "float32", "complex128": "complex64", "int64": "int32", "uint64": "uint32"}
_PYTHON = {"float": None, "int": "int32", "bool": "bool", "half": "float16", "double": "float64"}


def standardize_dtype(dtype):
    """Return the name of a dtype given as None, a string, a type or a dtype object.

    >>> import numpy as np
    >>> standardize_dtype(None), standardize_dtype(np.int8), standardize_dtype("float16")
    ('float32', 'int8', 'float16')
    """
    name: Any
    if dtype is None or dtype is float:
        return config.floatx()
    if dtype is int:
        return "int32"
    if isinstance(dtype, str):
        name = dtype
        if name in _PYTHON:
            return _PYTHON[name] or config.floatx()
    else:
        name = getattr(dtype, "name", None)
        if not isinstance(name, str):
            text = str(dtype)
            if text.startswith("torch."):
                name = text.split(".")[1]
            else:
                try:
                    name = jnp.dtype(dtype).name
                except TypeError:
                    name = text
    if name not in _KNOWN:
        raise errors.unknown_name("dtype", "dtype", name, _KNOWN)
    return name


def is_float(dtype):
    """Say whether a dtype (name or object) is a real floating type."""
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


def jax_dtype(name):
    """Return the dtype that JAX will really use for `name` (int64 is int32 without x64)."""
    dtype = np.dtype(jnp.dtype(name))
    return dtype if config.x64_enabled() else np.dtype(_NARROW.get(dtype.name, dtype))


def check_enabled(where, name):
    """Refuse float64 and complex128, asked for by name, while JAX has them switched off."""
    if name in ("float64", "complex128") and not config.x64_enabled():
        raise errors.bad_value(
            where, "a dtype that JAX has switched on", repr(name),
            'call jax.config.update("jax_enable_x64", True) first',
        )  # fmt: skip


class DTypePolicy:
    """A pair of dtypes: layers compute in one and store their variables in the other.

    Args:
        name: "float32", "bfloat16", "float16", "float64" (both dtypes the same), or
            "mixed_bfloat16", "mixed_float16" (compute in 16 bits, store in float32).

    Example:

    >>> import stepfit as keras
    >>> policy = keras.DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')
    """

    def __init__(self, name=None):
        if name is None:
            name = config.floatx()
        if not isinstance(name, str):
            name = standardize_dtype(name)
        self.name = name
        if name in ("mixed_bfloat16", "mixed_float16"):
            self.compute_dtype, self.variable_dtype = name.split("_")[1], "float32"
        else:
            try:
                self.compute_dtype = self.variable_dtype = standardize_dtype(name)
            except ValueError:
                known = ("mixed_bfloat16", "mixed_float16", *_KNOWN)
                raise errors.unknown_name("dtype", "dtype policy", name, known) from None
        check_enabled("dtype policy", self.variable_dtype)

    def __repr__(self):
        return f'<DTypePolicy "{self.name}">'

    def __eq__(self, other):
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self):
        return hash(self.name)

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, cfg):
        """Build a policy from `get_config`'s result."""
        return cls(**cfg)


_global = {"policy": None}


def dtype_policy():
    """Return the policy that new layers take by default."""
    return _global["policy"] or DTypePolicy(config.floatx())


def set_dtype_policy(policy):
    """Set the policy that new layers take by default.

    Args:
        policy: a name ("mixed_bfloat16", ...), a `DTypePolicy`, or None for `config.floatx()`.
    """
    _global["policy"] = None if policy is None else get_policy(policy)


def get_policy(identifier):
    """Return the policy for None (the global one), a name, a dtype, a config or a policy."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if hasattr(identifier, "compute_dtype") and hasattr(identifier, "variable_dtype"):
        return DTypePolicy(identifier.name)
    if isinstance(identifier, dict):
        return DTypePolicy(identifier.get("config", identifier)["name"])
    return DTypePolicy(identifier)
