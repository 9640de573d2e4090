"""Dtype policies: what layers compute in and what they store their variables in."""

from typing import Any

from stepfit.core import errors
from stepfit.core.dtypes import DTypePolicy, DTypePolicyMap
from stepfit.core.dtypes import get_policy as get
from stepfit.core.registry import get_registered_object

__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]

FloatDTypePolicy = DTypePolicy


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Return a policy as plain data.

    >>> import stepfit as keras
    >>> keras.dtype_policies.serialize(keras.DTypePolicy("float16"))["config"]
    {'name': 'float16'}
    """
    if not isinstance(dtype_policy, DTypePolicy):
        found = errors.describe(dtype_policy)
        raise errors.bad_type("serialize(dtype_policy)", "a DTypePolicy", found)
    return {
        "module": "keras.dtype_policies", "class_name": type(dtype_policy).__name__,
        "config": dtype_policy.get_config(), "registered_name": None,
    }  # fmt: skip


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the policy that `serialize` was given.

    Args:
        config: what `serialize` returned; one of Keras does as well.
        custom_objects: dict from the names of classes of your own to the classes.

    Raises:
        ValueError: an unknown class.
    """
    name = config.get("class_name")
    cls = get_registered_object(name, custom_objects)
    if cls is not None:
        return cls.from_config(config["config"])
    known = ("DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy")
    if name not in known:
        raise errors.unknown_name("config['class_name']", "dtype policy's class", name, known)
    return get(config)
