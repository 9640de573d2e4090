"""Losses: what training makes small.

Each exists as a function, ``mean_squared_error(y_true, y_pred)``, with one value per sample, and as
a class, ``MeanSquaredError()(y_true, y_pred, sample_weight)``, with weights, masks and a reduction.
"""

from typing import TYPE_CHECKING

from stepfit.core import errors, registry
from stepfit.losses.binary import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
)
from stepfit.losses.checks import check_activation, check_labels, check_predictions
from stepfit.losses.classification import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    sparse_categorical_crossentropy,
)
from stepfit.losses.embeddings import Circle, circle
from stepfit.losses.hinges import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from stepfit.losses.lookup import get_member, kind_of_targets
from stepfit.losses.loss import Loss, LossFunctionWrapper
from stepfit.losses.probabilities import KLDivergence, Poisson, kl_divergence, poisson
from stepfit.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from stepfit.losses.segmentation import Dice, Tversky, dice, tversky
from stepfit.losses.sequences import CTC, ctc

__all__ = [
    "BCE", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CTC", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "CategoricalHinge",
    "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLD", "KLDivergence", "LogCosh",
    "Loss", "LossFunctionWrapper", "MAE", "MAPE", "MSE", "MSLE", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky", "bce", "binary_crossentropy",
    "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "check_activation",
    "check_labels", "check_predictions", "circle", "cosine_similarity", "ctc", "deserialize",
    "dice", "get", "hinge", "huber", "kl_divergence", "kld", "kullback_leibler_divergence",
    "log_cosh", "logcosh", "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "mse", "msle", "poisson", "resolve",
    "serialize", "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh

_classes: list[type] = [thing for thing in map(globals().get, __all__) if isinstance(thing, type)]
_functions = (
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy,
    categorical_focal_crossentropy, categorical_generalized_cross_entropy, categorical_hinge,
    circle, cosine_similarity, ctc, dice, hinge, huber, kl_divergence, log_cosh,
    mean_absolute_error, mean_absolute_percentage_error, mean_squared_error,
    mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy, squared_hinge,
    tversky,
)  # fmt: skip
_aliases = {
    "mse": mse, "MSE": MSE, "mae": mae, "MAE": MAE, "mape": mape, "MAPE": MAPE, "msle": msle,
    "MSLE": MSLE, "bce": bce, "BCE": BCE, "kld": kld, "KLD": KLD, "logcosh": logcosh,
    "kullback_leibler_divergence": kl_divergence,
}  # fmt: skip

_catalogue = registry.Catalogue(
    "loss",
    {c.__name__: c for c in _classes} | {f.__name__: f for f in _functions} | _aliases,
    base=Loss,
)


def get(identifier):
    """Return the loss that `identifier` stands for.

    Args:
        identifier: None (stays None); a name: a function's ("mean_squared_error", "mse") gives the
            function, a class's ("MeanSquaredError") an instance; a config as `serialize` returns
            it; a `Loss`, or a class of losses that needs no arguments; a function.

    Raises:
        ValueError: unknown name. TypeError: not a loss.

    >>> import stepfit as keras
    >>> keras.losses.get("mse") is keras.losses.mean_squared_error
    True
    >>> keras.losses.get("Huber").name
    'huber_loss'
    """
    return get_member(_catalogue, identifier)


def serialize(loss):
    """Return a loss as plain data: a config, or a function's name."""
    return registry.serialize(loss)


def deserialize(name, custom_objects=None):
    """Return the loss for `serialize`'s result."""
    if isinstance(name, str) and custom_objects and name in custom_objects:
        return custom_objects[name]
    return get(name)


def resolve(identifier, y_true_shape, y_pred_shape):
    """Return a `Loss` object for what a user may pass to `compile(loss=...)`.

    Args:
        identifier: as in `get`; also "crossentropy" or "ce", which mean the binary, sparse or
            categorical crossentropy that goes with the shapes.
        y_true_shape, y_pred_shape: tuples of ints and None.

    Returns:
        A `Loss`; a function is wrapped in `LossFunctionWrapper` under the name it was asked for by.

    >>> import stepfit as keras
    >>> keras.losses.resolve("ce", (None,), (None, 3)).fn.__name__
    'sparse_categorical_crossentropy'
    """
    loss = identifier
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        kind = kind_of_targets(y_true_shape, y_pred_shape)
        loss = {
            "binary": binary_crossentropy,
            "sparse": sparse_categorical_crossentropy,
            "categorical": categorical_crossentropy,
        }[kind]
    loss = get(loss)
    if loss is None or isinstance(loss, Loss):
        return loss
    name = identifier if isinstance(identifier, str) else registry.get_registered_name(loss)
    return LossFunctionWrapper(loss, name=name)

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
