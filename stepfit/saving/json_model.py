"""What a model is made of, as JSON: without weights, and without how it was compiled."""

import json

import stepfit
from stepfit.core import deferral, serialization
from stepfit.core.custom_objects import custom_object_scope
from stepfit.saving import building, json_config


def to_json(model, **kwargs):
    """Return a model's config as JSON text.

    Args:
        model: the model.
        **kwargs: arguments of `json.dumps`.
    """
    with serialization.sharing():
        config = serialization.serialize(model)
    config.pop("compile_config", None)
    json_config.encode(config, "to_json()")
    return json.dumps(config, **kwargs)


def model_from_json(json_string, custom_objects=None):
    """Return the model that `Model.to_json` (or Keras's) described, with new weights.

    The weights get their values when they are first used.

    Args:
        json_string: JSON text.
        custom_objects: dict from name to class or function, for those not registered.

    Raises:
        ValueError: no JSON, or a description of what is not known.

    Example:

    >>> import stepfit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> keras.models.model_from_json(model.to_json()).output_shape
    (None, 1)
    """
    place = "model_from_json(json_string)"
    config = json_config.parse_dict(json_string.encode(), place)
    config.pop("compile_config", None)
    _ = stepfit.models, stepfit.layers  # have the built-in classes be known
    with custom_object_scope(custom_objects), deferral.deferring(finish=False):
        return building.build(config, place)
