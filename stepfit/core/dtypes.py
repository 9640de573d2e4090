"""Dtypes as strings, and the policies that pick one dtype to compute in and one to store in."""

import collections.abc
import functools
import re
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors

FLOATS = ("bfloat16", "float16", "float32", "float64")
_KNOWN = (
    *FLOATS, "bool", "complex64", "complex128", "int4", "int8", "int16", "int32", "int64",
    "uint4", "uint8", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "string",
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


def is_int(dtype):
    """Say whether a dtype (name or object) is a signed or unsigned integer type."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def result_type(*dtypes):
    """Return the dtype of an operation on several: what `jax.numpy` would promote them to.

    Python's `int` and `float` are weak: with an array's dtype of the same kind, they give way.

    Args:
        dtypes: names, dtype objects, types; None stands for `floatx`.

    Returns:
        str; `floatx` for no dtypes.

    >>> import stepfit as keras
    >>> keras.backend.result_type("bfloat16", int), keras.backend.result_type("int8", "uint8")
    ('bfloat16', 'int16')
    """
    if not dtypes:
        return config.floatx()
    weak = [d for d in dtypes if d in (int, float)]
    names = [standardize_dtype(d) for d in dtypes if d not in (int, float)]
    eight_bits = [n for n in names if n.startswith("float8")]
    if eight_bits and len(dtypes) > 1:
        fix = "cast them to one dtype first"
        raise errors.bad_value("result_type(dtypes)", "dtypes that promote", eight_bits[0], fix)
    found = jnp.dtype(functools.reduce(jnp.promote_types, names or ["bool"]))
    if float in weak and not jnp.issubdtype(found, np.inexact):
        return config.floatx()
    if int in weak and found == np.bool_:
        return "int32"
    return jax_dtype(found).name


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

    @property
    def quantization_mode(self):
        """None: no policy of stepfit's quantizes."""
        return None

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


class DTypePolicyMap(DTypePolicy, collections.abc.MutableMapping):
    """Policies for layers by their paths; a layer given the map looks up its own.

    Args:
        default_policy: policy, or its name, of the paths that no key matches; default the global
            policy, as it is when it is looked up.
        policy_map: dict from a path, or a regular expression that matches whole paths, to a policy
            or its name.

    Example:

    >>> import stepfit as keras
    >>> policies = keras.dtype_policies.DTypePolicyMap("float32", {"encoder/.*": "mixed_bfloat16"})
    >>> policies["encoder/dense"].compute_dtype, policies["decoder/dense"].compute_dtype
    ('bfloat16', 'float32')
    """

    def __init__(self, default_policy=None, policy_map=None):
        if isinstance(default_policy, DTypePolicyMap):
            raise errors.bad_type("DTypePolicyMap(default_policy)", "a DTypePolicy", default_policy)
        if policy_map is not None and not isinstance(policy_map, dict):
            raise errors.bad_type("DTypePolicyMap(policy_map)", "a dict", policy_map)
        self._default = None if default_policy is None else get_policy(default_policy)
        self._by_path = {k: get_policy(v) for k, v in (policy_map or {}).items()}

    @property
    def default_policy(self):
        """The policy of paths that no key matches."""
        return self._default or dtype_policy()

    @property
    def name(self):
        """`map_` and the name of the default policy."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self):
        """The default policy's dtype to compute in."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self):
        """The default policy's dtype to store variables in."""
        return self.default_policy.variable_dtype

    def __getitem__(self, path):
        if path in self._by_path:
            return self._by_path[path]
        found = [pattern for pattern in self._by_path if re.fullmatch(pattern, path)]
        if len(found) > 1:
            expected = f"one key that matches {path!r}"
            fix = "make the patterns exclude each other"
            raise errors.bad_value("DTypePolicyMap", expected, " and ".join(map(repr, found)), fix)
        return self._by_path[found[0]] if found else self.default_policy

    def __setitem__(self, path, policy):
        if path in self._by_path:
            expected, fix = "a key that is not there yet", "delete it first"
            raise errors.bad_value("DTypePolicyMap", expected, repr(path), fix)
        self._by_path[path] = get_policy(policy)

    def __delitem__(self, path):
        del self._by_path[path]

    def __contains__(self, path):
        return path in self._by_path

    def __iter__(self):
        return iter(self._by_path)

    def __len__(self):
        return len(self._by_path)

    def __eq__(self, other):
        return isinstance(other, DTypePolicyMap) and self.get_config() == other.get_config()

    __hash__ = object.__hash__

    def __repr__(self):
        return f"<DTypePolicyMap {self.default_policy.name!r}, {self._by_path}>"

    def get_config(self):
        """Return the constructor's arguments, policies by their names."""
        default = None if self._default is None else self._default.name
        return {"default_policy": default,
                "policy_map": {k: v.name for k, v in self._by_path.items()}}  # fmt: skip


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


def policy_at(policy, path):
    """Return the policy of the layer with a path, where `policy` may be a map."""
    return policy[path] if isinstance(policy, DTypePolicyMap) else policy


def get_policy(identifier):
    """Return the policy for None (the global one), a name, a dtype, a config or a policy."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if hasattr(identifier, "compute_dtype") and hasattr(identifier, "variable_dtype"):
        return DTypePolicy(identifier.name)
    if isinstance(identifier, dict):
        cfg = identifier.get("config", identifier)
        if "policy_map" in cfg:
            policies = {k: get_policy(v) for k, v in cfg["policy_map"].items()}
            return DTypePolicyMap(cfg["default_policy"], policies)
        return DTypePolicy(cfg["name"])
    return DTypePolicy(identifier)
