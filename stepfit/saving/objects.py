"""Single objects as plain data, and back, in Keras's form."""

import stepfit
from stepfit.core import deserialization, errors, serialization
from stepfit.core.custom_objects import custom_object_scope


def serialize_keras_object(obj):
    """Return an object (a layer, a function, an array, a list or dict of them) as plain data.

    >>> import stepfit as keras
    >>> keras.saving.serialize_keras_object(keras.regularizers.L2(0.5))["config"]
    {'l2': 0.5}
    """
    with serialization.sharing():
        return serialization.serialize(obj)


def deserialize_keras_object(config, custom_objects=None, safe_mode=True, **kwargs):
    """Return the object for what `serialize_keras_object` returned.

    Args:
        config: plain data.
        custom_objects: dict from name to class or function, for those not registered.
        safe_mode: False runs code that the config holds (lambdas).

    Raises:
        ValueError: the config names what is not known.

    >>> import stepfit as keras
    >>> config = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    >>> keras.saving.deserialize_keras_object(config).units
    3
    """
    objects = kwargs.pop("module_objects", None)
    for name in kwargs:
        known = ("config", "custom_objects", "safe_mode", "module_objects")
        raise errors.unknown_argument("deserialize_keras_object(...)", name, known)
    _ = stepfit.models, stepfit.layers  # have the built-in classes be known
    with (
        custom_object_scope({**(objects or {}), **(custom_objects or {})}),
        deserialization.unsafe(not safe_mode), serialization.sharing(),
    ):  # fmt: skip
        return deserialization.deserialize(config)
