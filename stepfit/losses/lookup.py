"""What losses and metrics share in turning an identifier into an object."""

import inspect

from stepfit.core import errors


def get_member(catalogue, identifier):
    """Return `catalogue.get(identifier)`, with classes instantiated, as Keras does."""
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        identifier = identifier["config"]  # a function's name, as Keras writes it
    cls = catalogue.find(identifier) if isinstance(identifier, str) else identifier
    if not isinstance(cls, type):
        return catalogue.get(identifier)
    if not issubclass(cls, catalogue.base):
        raise errors.bad_type(catalogue.argument, f"a {catalogue.kind}", cls)
    needed = required_arguments(cls)
    if needed:
        call = ", ".join(f"{name}=..." for name in needed)
        raise errors.bad_type(
            catalogue.argument,
            f"a {catalogue.kind} that needs no arguments",
            f"the class {cls.__name__}",
            f"pass an instance: {cls.__name__}({call})",
        )
    return cls()


def required_arguments(cls):
    """Return the names of a constructor's arguments without a default."""
    return [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def kind_of_targets(y_true_shape, y_pred_shape):
    """Return "binary", "sparse" or "categorical" for the shapes of targets and predictions.

    One output is binary; targets with fewer axes than the predictions, or with a last axis of 1,
    are integer labels; others are one-hot.

    >>> kind_of_targets((None, 1), (None, 1)), kind_of_targets((None, 3), (None, 3))
    ('binary', 'categorical')
    """
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse"
    return "categorical"
