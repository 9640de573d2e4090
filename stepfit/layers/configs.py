"""Layers as plain data, and back."""

from typing import Any

from stepfit.core import deserialization, errors, serialization
from stepfit.layers.layer import Layer


def serialize(layer: Layer) -> dict[str, Any]:
    """Return a layer as plain data: module, class name, config; its weights are not in it.

    >>> import stepfit as keras
    >>> keras.layers.serialize(keras.layers.Flatten(name="flat"))["class_name"]
    'Flatten'
    """
    if not isinstance(layer, Layer):
        raise errors.bad_type("serialize(layer)", "a layer", errors.describe(layer))
    return serialization.serialize_object(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Layer:
    """Return a layer made from what `serialize` returned, or Keras's `serialize`.

    Args:
        config: plain data.
        custom_objects: dict from the names of classes of your own to the classes.

    Raises:
        ValueError: a class that is not known, or no layer.

    >>> import stepfit as keras
    >>> config = keras.layers.serialize(keras.layers.Dense(3, name="out"))
    >>> keras.layers.deserialize(config).units
    3
    """
    layer = deserialization.deserialize(config, custom_objects, "layer")
    if not isinstance(layer, Layer):
        found = errors.describe(layer)
        raise errors.bad_value("deserialize(config)", "the config of a layer", found)
    return layer
