"""Metrics: numbers gathered over batches.

Each keeps its sums in Variables (see `metric`). Those that are the mean of a function exist as that
function too, ``categorical_accuracy(y_true, y_pred)``, with one value per sample.
"""

from typing import TYPE_CHECKING

from stepfit.core import errors, naming, registry
from stepfit.losses.binary import binary_crossentropy, binary_focal_crossentropy
from stepfit.losses.classification import (
    categorical_crossentropy,
    categorical_focal_crossentropy,
    sparse_categorical_crossentropy,
)
from stepfit.losses.hinges import categorical_hinge, hinge, squared_hinge
from stepfit.losses.lookup import get_member, kind_of_targets
from stepfit.losses.probabilities import kl_divergence, poisson
from stepfit.losses.regression import (
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from stepfit.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from stepfit.metrics.auc import AUC
from stepfit.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from stepfit.metrics.correlations import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from stepfit.metrics.f_scores import F1Score, FBetaScore
from stepfit.metrics.hinges import CategoricalHinge, Hinge, SquaredHinge
from stepfit.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from stepfit.metrics.metric import Metric
from stepfit.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from stepfit.metrics.reduction import Mean, MeanMetricWrapper, Sum
from stepfit.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "AUC", "Accuracy", "BCE", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU",
    "CategoricalAccuracy", "CategoricalCrossentropy", "CategoricalHinge",
    "ConcordanceCorrelation", "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives",
    "FalsePositives", "Hinge", "IoU", "KLD", "KLDivergence", "LogCoshError", "MAE", "MAPE",
    "MSE", "MSLE", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU",
    "MeanMetricWrapper", "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric",
    "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson", "Precision",
    "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "accuracy", "bce",
    "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_hinge", "concordance_correlation", "deserialize", "get", "hinge", "huber",
    "kl_divergence", "kld", "kullback_leibler_divergence", "log_cosh", "logcosh", "mae", "mape",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "mse", "msle", "pearson_correlation", "poisson",
    "resolve", "resolve_accuracy", "resolve_crossentropy", "serialize",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh

_classes: list[type] = [thing for thing in map(globals().get, __all__) if isinstance(thing, type)]
_aliases = {
    "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError, "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError, "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy,
    "kld": KLDivergence, "KLD": KLDivergence, "rmse": RootMeanSquaredError,
    "RMSE": RootMeanSquaredError, "cosine": CosineSimilarity, "logcosh": LogCoshError,
}  # fmt: skip

_catalogue = registry.Catalogue(
    "metric",
    {c.__name__: c for c in _classes}
    | {naming.to_snake_case(c.__name__): c for c in _classes}
    | _aliases,
    base=Metric,
)


def get(identifier):
    """Return the metric that `identifier` stands for.

    Args:
        identifier: None (stays None); a name ("mse", "AUC", "categorical_accuracy"); a config as
            `serialize` returns it; a `Metric`, or a class of metrics that needs no arguments; a
            function of targets and predictions. ("accuracy" is the share of equal entries here;
            the accuracy that goes with the shapes is found by `resolve`.)

    Raises:
        ValueError: unknown name. TypeError: not a metric.

    >>> import stepfit as keras
    >>> keras.metrics.get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    return get_member(_catalogue, identifier)


def serialize(metric):
    """Return a metric as plain data: a config, or a function's name."""
    return registry.serialize(metric)


def deserialize(config, custom_objects=None):
    """Return the metric for `serialize`'s result."""
    if isinstance(config, str) and custom_objects and config in custom_objects:
        return custom_objects[config]
    return get(config)


def resolve(identifier, y_true_shape, y_pred_shape):
    """Return a `Metric` for what a user may pass to `compile(metrics=[...])`.

    Args:
        identifier: as in `get`; also "accuracy", "acc", "crossentropy" or "ce", which mean the
            binary, sparse or categorical one that goes with the shapes.
        y_true_shape, y_pred_shape: tuples of ints and None.

    Returns:
        A `Metric`, named as it was asked for by; a function is wrapped in `MeanMetricWrapper`.

    >>> import stepfit as keras
    >>> keras.metrics.resolve("acc", (None, 1), (None, 3))
    <SparseCategoricalAccuracy name=acc>
    """
    if isinstance(identifier, str):
        if identifier.lower() in ("accuracy", "acc"):
            return resolve_accuracy(y_true_shape, y_pred_shape, identifier)
        if identifier.lower() in ("crossentropy", "ce"):
            return resolve_crossentropy(y_true_shape, y_pred_shape, identifier)
    metric = get(identifier)
    if metric is not None and not isinstance(metric, Metric):
        metric = MeanMetricWrapper(metric)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def resolve_accuracy(y_true_shape, y_pred_shape, name="accuracy"):
    """Return the accuracy that goes with the shapes of targets and predictions.

    >>> import stepfit as keras
    >>> keras.metrics.resolve_accuracy((None, 1), (None, 1))
    <BinaryAccuracy name=accuracy>
    """
    kinds = {
        "binary": BinaryAccuracy,
        "sparse": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    }
    return kinds[kind_of_targets(y_true_shape, y_pred_shape)](name=name)


def resolve_crossentropy(y_true_shape, y_pred_shape, name="crossentropy"):
    """Return the crossentropy that goes with the shapes of targets and predictions.

    >>> import stepfit as keras
    >>> keras.metrics.resolve_crossentropy((None, 3), (None, 3))
    <CategoricalCrossentropy name=crossentropy>
    """
    kinds = {
        "binary": BinaryCrossentropy,
        "sparse": SparseCategoricalCrossentropy,
        "categorical": CategoricalCrossentropy,
    }
    return kinds[kind_of_targets(y_true_shape, y_pred_shape)](name=name)

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
