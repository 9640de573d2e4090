"""One row per metric: how it is made, and the kind of data it takes."""

import dataclasses

import numpy as np

from tests.parity.losses import data_for


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    data: str
    kwargs: dict = dataclasses.field(default_factory=dict)
    shape: tuple = (4,)  # of the predictions, without the batch
    weight_ranks: tuple = (0, 1)
    atol: float = 2e-6

    def __str__(self):
        options = ",".join(f"{k}={v}" for k, v in self.kwargs.items())
        return f"{self.name}({options})-{self.data}{self.shape}".replace(" ", "")


STEPS = (3, 4)  # steps and outputs: values with two axes, so that weights of rank 2 fit
EVEN, UNEVEN = [0.0, 0.25, 0.5, 0.75, 1.0], [0.2, 0.9, 0.4]
ROWS = [
    Row("Mean", "values"),
    Row("Mean", "values", shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("Sum", "values"),
    Row("Sum", "values", shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("MeanSquaredError", "real"),
    Row("MeanSquaredError", "real", shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("RootMeanSquaredError", "real"),
    Row("RootMeanSquaredError", "real", shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("MeanAbsoluteError", "real"),
    Row("MeanAbsolutePercentageError", "real"),
    Row("MeanSquaredLogarithmicError", "positive"),
    Row("LogCoshError", "real"),
    Row("CosineSimilarity", "real"),
    Row("CosineSimilarity", "real", {"axis": 1}, shape=STEPS),
    Row("R2Score", "real", atol=1e-4),
    Row("R2Score", "real", {"class_aggregation": None}, atol=1e-4),
    Row("R2Score", "real", {"class_aggregation": "variance_weighted_average"}, atol=1e-4),
    Row("R2Score", "real", {"num_regressors": 2}, atol=1e-4),
    Row("Hinge", "binary_logits"),
    Row("SquaredHinge", "binary_logits"),
    Row("CategoricalHinge", "one_hot_logits"),
    Row("BinaryCrossentropy", "binary"),
    Row("BinaryCrossentropy", "binary_logits", {"from_logits": True, "label_smoothing": 0.1}),
    Row("CategoricalCrossentropy", "one_hot"),
    Row("CategoricalCrossentropy", "one_hot_logits", {"from_logits": True}),
    Row("SparseCategoricalCrossentropy", "labels"),
    Row("SparseCategoricalCrossentropy", "labels", {"ignore_class": 1}),
    Row("SparseCategoricalCrossentropy", "labels_logits", {"from_logits": True}, shape=STEPS,
        weight_ranks=(0, 1, 2)),
    Row("KLDivergence", "shares"),
    Row("Poisson", "positive"),
    Row("Accuracy", "ids"),
    Row("BinaryAccuracy", "binary"),
    Row("BinaryAccuracy", "binary", {"threshold": 0.3}, shape=(1,)),
    Row("CategoricalAccuracy", "one_hot"),
    Row("SparseCategoricalAccuracy", "labels"),
    Row("SparseCategoricalAccuracy", "labels", shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("TopKCategoricalAccuracy", "one_hot", {"k": 2}),
    Row("SparseTopKCategoricalAccuracy", "labels", {"k": 2}),
    Row("SparseTopKCategoricalAccuracy", "labels", {"k": 3}, shape=STEPS, weight_ranks=(0, 1, 2)),
    Row("SparseTopKCategoricalAccuracy", "sorted_ids", {"k": 2, "from_sorted_ids": True}),
    *(
        Row(name, "binary", kwargs, shape)
        for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
        for kwargs, shape in (
            ({}, (4,)), ({"thresholds": UNEVEN}, (4,)), ({"thresholds": EVEN}, ()),
        )
    ),
    *(
        Row(name, "binary", kwargs, shape)
        for name in ("Precision", "Recall")
        for kwargs, shape in (
            ({}, (1,)), ({"thresholds": UNEVEN}, (4,)), ({"thresholds": EVEN}, (4,)),
            ({"top_k": 2}, (4,)), ({"class_id": 2}, (4,)), ({"top_k": 2, "class_id": 1}, (4,)),

        )
    ),
    Row("Precision", "binary", {"thresholds": 0.7}, shape=STEPS, weight_ranks=(0, 2)),
    *(
        Row(name, "binary", {argument: 0.4, **kwargs}, shape)
        for name, argument in (
            ("SensitivityAtSpecificity", "specificity"), ("PrecisionAtRecall", "recall"),
            ("SpecificityAtSensitivity", "sensitivity"), ("RecallAtPrecision", "precision"),
        )
        for kwargs, shape in (({}, (4,)), ({"num_thresholds": 1}, ()), ({"class_id": 3}, (4,)))
    ),
    *(
        Row("AUC", "binary", {"curve": curve, "summation_method": method}, (), atol=1e-5)
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "majoring", "minoring")
    ),
    Row("AUC", "binary", {"thresholds": [0.7, 0.1, 0.35]}, ()),
    Row("AUC", "binary", {"num_thresholds": 2}, ()),
    Row("AUC", "binary", {"label_weights": [0.1, 0.4, 0.0, 2.0]}),
    Row("AUC", "binary", {"multi_label": True, "num_labels": 4}),
    Row("AUC", "binary", {"multi_label": True, "num_labels": 4, "curve": "PR"}),
    Row("AUC", "binary", {"multi_label": True, "label_weights": [0.1, 0.4, 0.0, 2.0]}),
    Row("AUC", "binary", {"multi_label": True, "thresholds": [0.3, 0.4], "curve": "PR",
                          "label_weights": [0.1, 0.4, 0.0, 2.0]}),
    Row("AUC", "binary_logits", {"from_logits": True}, (1,)),
    Row("IoU", "ids", {"num_classes": 3, "target_class_ids": [0, 2]}, (), weight_ranks=()),
    Row("IoU", "ids", {"num_classes": 3, "target_class_ids": [1], "dtype": "float32"}, ()),
    Row("IoU", "ids", {"num_classes": 2, "target_class_ids": [1], "dtype": "float32"}, (3,),
        weight_ranks=(0, 2)),
    Row("MeanIoU", "ids", {"num_classes": 4}, (3,), weight_ranks=()),
    Row("MeanIoU", "ids", {"num_classes": 3, "ignore_class": 1, "dtype": "float32"}, (3,),
        weight_ranks=(0, 2)),
    Row("MeanIoU", "labels", {"num_classes": 4, "sparse_y_pred": False}, STEPS, weight_ranks=()),
    Row("BinaryIoU", "binary", {}, (), weight_ranks=()),
    Row("BinaryIoU", "binary", {"target_class_ids": [1], "threshold": 0.3, "dtype": "float32"}, ()),
    Row("OneHotIoU", "one_hot", {"num_classes": 4, "target_class_ids": [1, 3]}, weight_ranks=()),
    Row("OneHotMeanIoU", "one_hot", {"num_classes": 4, "dtype": "float32"}),
    Row("OneHotMeanIoU", "one_hot", {"num_classes": 4, "dtype": "float32"}, STEPS,
        weight_ranks=(0, 2)),
    *(
        Row(name, data, {"average": average, **kwargs}, weight_ranks=(1,))
        for name, kwargs in (("F1Score", {}), ("FBetaScore", {"beta": 2.0}))
        for average in (None, "micro", "macro", "weighted")
        for data, kwargs in (("one_hot", kwargs), ("binary", {"threshold": 0.4, **kwargs}))
    ),
    Row("PearsonCorrelation", "real", atol=1e-5),
    Row("PearsonCorrelation", "real", {"axis": 1}, STEPS, atol=1e-5),
    Row("ConcordanceCorrelation", "real", atol=1e-5),
    Row("ConcordanceCorrelation", "real", {"axis": 1}, STEPS, atol=1e-5),
]  # fmt: skip


def batches(row, seed=0):
    """Return the arguments, without weights, of two updates with different batch sizes."""
    return [batch(row.data, (n, *row.shape), seed + i) for i, n in enumerate((6, 4))]


def batch(kind, shape, seed):
    rng = np.random.default_rng(seed)
    if kind == "values":
        return (rng.normal(size=shape).astype("float32"),)
    if kind == "ids":
        return rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    if kind == "sorted_ids":
        ids = np.argsort(rng.random(shape), axis=-1).astype("int32")
        return rng.integers(0, shape[-1], shape[:-1]), ids
    return data_for(kind, shape, seed)


def weights(row, rank, n, seed=0):
    """Return weights of the rank for a batch of n; None stays None."""
    shapes = {0: (), 1: (n,), 2: (n, *row.shape[:1])}
    if rank is None:
        return None
    return np.random.default_rng(seed).random(shapes[rank]).astype("float32")
