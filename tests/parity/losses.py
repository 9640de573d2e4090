"""One row per loss: how it is made, and the kind of data it takes."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    data: str
    kwargs: dict = dataclasses.field(default_factory=dict)
    scalar: bool = False  # one number for the whole batch, so there is nothing to weight
    shapes: tuple = ((6, 4), (6, 3, 4))  # of the predictions

    def __str__(self):
        options = ",".join(f"{k}={v}" for k, v in self.kwargs.items())
        return f"{self.name}({options})-{self.data}"


ROWS = [
    Row("MeanSquaredError", "real"),
    Row("MeanAbsoluteError", "real"),
    Row("MeanAbsolutePercentageError", "real"),
    Row("MeanSquaredLogarithmicError", "positive"),
    Row("MeanSquaredLogarithmicError", "real"),
    Row("Huber", "real"),
    Row("Huber", "real", {"delta": 0.3}),
    Row("LogCosh", "real"),
    Row("CosineSimilarity", "real"),
    Row("CosineSimilarity", "real", {"axis": 1}),
    Row("BinaryCrossentropy", "binary"),
    Row("BinaryCrossentropy", "binary", {"label_smoothing": 0.2}),
    Row("BinaryCrossentropy", "binary_logits", {"from_logits": True}),
    Row("BinaryFocalCrossentropy", "binary"),
    Row("BinaryFocalCrossentropy", "binary", {"apply_class_balancing": True, "alpha": 0.4}),
    Row("BinaryFocalCrossentropy", "binary", {"gamma": 3.0, "label_smoothing": 0.1}),
    Row("BinaryFocalCrossentropy", "binary_logits", {"from_logits": True}),
    Row("CategoricalCrossentropy", "one_hot"),
    Row("CategoricalCrossentropy", "one_hot", {"label_smoothing": 0.1}),
    Row("CategoricalCrossentropy", "one_hot_logits", {"from_logits": True}),
    Row("CategoricalFocalCrossentropy", "one_hot", {"gamma": 1.5}),
    Row("CategoricalFocalCrossentropy", "one_hot_logits", {"from_logits": True, "alpha": 0.5}),
    Row("SparseCategoricalCrossentropy", "labels"),
    Row("SparseCategoricalCrossentropy", "labels_logits", {"from_logits": True}),
    Row("SparseCategoricalCrossentropy", "labels", {"ignore_class": 1}),
    Row("SparseCategoricalCrossentropy", "labels_logits",
        {"ignore_class": 0, "from_logits": True}),
    Row("CategoricalGeneralizedCrossEntropy", "labels", {"q": 0.3}),
    Row("CTC", "ctc", shapes=((6, 5, 4), (3, 7, 3))),
    Row("Circle", "embeddings", shapes=((6, 4), (9, 2))),
    Row("Circle", "embeddings", {"gamma": 3.0, "margin": 0.2, "remove_diagonal": False},
        shapes=((6, 4), (5, 4))),
    Row("KLDivergence", "one_hot"),
    Row("KLDivergence", "shares"),
    Row("Poisson", "positive"),
    Row("Hinge", "binary_logits"),
    Row("Hinge", "real"),
    Row("SquaredHinge", "binary_logits"),
    Row("CategoricalHinge", "one_hot_logits"),
    Row("Dice", "binary", scalar=True),
    Row("Dice", "binary", {"axis": -1}),
    Row("Tversky", "binary", {"alpha": 0.3, "beta": 0.8}, scalar=True),
    Row("Tversky", "binary", {"axis": -1}),
]  # fmt: skip


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def data_for(kind, shape, seed=0):
    """Return (y_true, y_pred) of the kind; `shape` is that of the predictions."""
    rng = np.random.default_rng(seed)
    real = rng.normal(size=shape).astype("float32")
    yes_no = (rng.random(shape) > 0.5).astype("float32")
    labels = rng.integers(0, shape[-1], shape[:-1]).astype("int32")
    one_hot = np.eye(shape[-1], dtype="float32")[labels]
    lengths = rng.integers(1, 3, shape[:1])
    sequences = rng.integers(1, max(shape[-1], 2), (*shape[:1], 2))
    return {
        "ctc": (np.where(np.arange(2) < lengths[:, None], sequences, 0).astype("int32"), 2 * real),
        "embeddings": (labels, real / np.linalg.norm(real, axis=-1, keepdims=True)),
        "real": (rng.normal(size=shape).astype("float32"), real),
        "positive": (rng.poisson(2.0, shape).astype("float32"), np.exp(real)),
        "binary": (yes_no, 1 / (1 + np.exp(-real))),
        "binary_logits": (yes_no, 3 * real),
        "one_hot": (one_hot, softmax(real)),
        "one_hot_logits": (one_hot, real),
        "shares": (softmax(rng.normal(size=shape).astype("float32")), softmax(real)),
        "labels": (labels, softmax(real)),
        "labels_logits": (labels, real),
    }[kind]


def weights_for(values_shape, seed=0):
    """Return no weights, and weights of rank 0, 1 and 2 that fit values of this shape."""
    rng = np.random.default_rng(seed)
    n = values_shape[0]
    found = [None, 0.7, rng.random((n, 1)).astype("float32")]
    found.append(rng.random(values_shape).astype("float32"))
    return found
