"""What losses say about bad input, word for word."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import numpy as np
import pytest

from stepfit import losses
from stepfit.losses import check_labels, check_predictions

ones = np.ones
MESSAGES = [
    (
        lambda: losses.CTC()(ones(8), ones((8, 3))),
        ValueError,
        "ctc: expected labels y_true (batch, labels) and logits y_pred (batch, frames, classes), "
        "found y_true (8,) and y_pred (8, 3).",
    ),
    (
        lambda: losses.Circle()(ones((8, 2)), ones((8, 3))),
        ValueError,
        "circle: expected embeddings (batch, d) and one label for each, found (8, 3) and y_true "
        "(8, 2).",
    ),
    (
        lambda: losses.CategoricalGeneralizedCrossEntropy(1.0),
        ValueError,
        "CategoricalGeneralizedCrossEntropy q: expected a float above 0, below 1, found 1.0.",
    ),
    (
        lambda: losses.CategoricalGeneralizedCrossEntropy()(ones((8, 3)), ones((8, 3))),
        ValueError,
        "categorical_generalized_cross_entropy: expected integer labels y_true (8,) for y_pred "
        "(8, 3), found y_true (8, 3); the labels have the shape of the predictions without the "
        "axis of the classes.",
    ),
    (
        lambda: losses.MeanSquaredError()(ones((8, 2)), ones((8, 1))),
        ValueError,
        "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (8, 2) and "
        "y_pred (8, 1); give the model's last layer 2 units, or reshape y.",
    ),
    (
        lambda: losses.get("mse")(ones((8, 1)), ones((8, 3))),
        ValueError,
        "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (8, 1) and "
        "y_pred (8, 3); give the model's last layer 1 unit, or reshape y.",
    ),
    (
        lambda: losses.Huber()(ones(8), ones((8, 3))),
        ValueError,
        "huber: expected y_true and y_pred of the same shape, found y_true (8,) and y_pred (8, 3); "
        "reshape y to the shape of the model's output.",
    ),
    (
        lambda: losses.BinaryCrossentropy()(ones((8, 2)), ones((4, 2))),
        ValueError,
        "binary_crossentropy: expected y_true and y_pred of the same shape, found y_true (8, 2) "
        "and y_pred (4, 2); the first axis counts the samples.",
    ),
    (
        lambda: losses.mean_absolute_error(1.0, 2.0),
        ValueError,
        "mean_absolute_error: expected y_true and y_pred of the same shape, found y_true () and "
        "y_pred (); give both at least one axis.",
    ),
    (
        lambda: losses.CategoricalCrossentropy()(ones(8), ones((8, 3))),
        ValueError,
        "categorical_crossentropy: expected y_true and y_pred of the same shape, found y_true (8,) "
        "and y_pred (8, 3); for integer class labels use sparse_categorical_crossentropy, or make "
        "y one-hot with keras.utils.to_categorical(y, 3).",
    ),
    (
        lambda: losses.CategoricalCrossentropy()(ones((8, 4)), ones((8, 3))),
        ValueError,
        "categorical_crossentropy: expected y_true and y_pred of the same shape, found y_true "
        "(8, 4) and y_pred (8, 3); give the model's last layer 4 units, or reshape y.",
    ),
    (
        lambda: losses.CategoricalCrossentropy()(ones((8, 1)), ones((8, 1))),
        ValueError,
        "categorical_crossentropy: expected y_pred with at least 2 classes on axis -1, found "
        "y_pred (8, 1), whose one class always has probability 1; use binary_crossentropy for a "
        "single output unit.",
    ),
    (
        lambda: losses.SparseCategoricalCrossentropy()(ones((8, 3)), ones((8, 3))),
        ValueError,
        "sparse_categorical_crossentropy: expected integer labels y_true (8,) for y_pred (8, 3), "
        "found y_true (8, 3); for one-hot labels use categorical_crossentropy, or take "
        "keras.ops.argmax(y, axis=-1).",
    ),
    (
        lambda: losses.SparseCategoricalCrossentropy()(ones((8, 5)), ones((8, 3))),
        ValueError,
        "sparse_categorical_crossentropy: expected integer labels y_true (8,) for y_pred (8, 3), "
        "found y_true (8, 5); the labels have the shape of the predictions without the axis of the "
        "classes.",
    ),
    (
        lambda: losses.categorical_crossentropy(ones((2, 3)), ones((2, 3)), axis=True),
        TypeError,
        "categorical_crossentropy axis: expected an int, found True.",
    ),
    (
        lambda: losses.MeanSquaredError()(ones((8, 2)), ones((8, 2)), ones((8, 2))),
        ValueError,
        'loss "mean_squared_error": expected sample_weight that broadcasts onto values of shape '
        "(8,), found sample_weight (8, 2); give one weight per sample, or one per value.",
    ),
    (
        lambda: losses.MeanSquaredError()(ones((8, 4, 2)), ones((8, 4, 2)), ones(4)),
        ValueError,
        'loss "mean_squared_error": expected sample_weight that broadcasts onto values of shape '
        "(8, 4), found sample_weight (4,); to weight the last axis, reshape them to (1, 4).",
    ),
    (
        lambda: losses.LossFunctionWrapper(lambda t, p: p.mean(), name="mine")(
            ones(8), ones(8), ones(8)
        ),
        ValueError,
        'loss "mine": expected one value per sample, to go with sample_weight (8,), found a single '
        "number; average over the last axis only (axis=-1) and leave the rest to the reduction.",
    ),
    (
        lambda: losses.LossFunctionWrapper(lambda t, p: None, name="mine")(ones(8), ones(8)),
        TypeError,
        'loss "mine": expected an array of one value per sample, found None; return the values.',
    ),
    (
        lambda: losses.MeanSquaredError(reduction="summ"),
        ValueError,
        "reduction: expected the name of a reduction, found 'summ'; did you mean 'sum'?",
    ),
    (
        lambda: losses.get("mean_square_error"),
        ValueError,
        "loss: expected the name of a loss, found 'mean_square_error'; did you mean "
        "'mean_squared_error'?",
    ),
    (
        lambda: losses.get("CategoricalCrossEntropy"),
        ValueError,
        "loss: expected the name of a loss, found 'CategoricalCrossEntropy'; did you mean "
        "'CategoricalCrossentropy'?",
    ),
    (
        lambda: losses.get(losses.LossFunctionWrapper),
        TypeError,
        "loss: expected a loss that needs no arguments, found the class LossFunctionWrapper; pass "
        "an instance: LossFunctionWrapper(fn=...).",
    ),
    (lambda: losses.get(3), TypeError, "loss: expected a loss, its name, or a callable, found 3."),
    (lambda: losses.get(dict), TypeError, "loss: expected a loss, found the class dict."),
]
SPARSE, CATEGORICAL = losses.SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy()
LABELS = [
    (
        SPARSE, [0, 1, 7], (None, 3),
        "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 7; give "
        "the model's last layer 8 units, or correct the labels.",
    ),
    (
        losses.sparse_categorical_crossentropy, [[0], [-1]], (None, 3),
        "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found -1; "
        "labels start at 0; to leave entries out of the loss, pass ignore_class.",
    ),
    (
        SPARSE, [0.0, 0.5], 3,
        "y: expected integer labels for sparse_categorical_crossentropy, found 0.5; class labels "
        "are whole numbers; for targets that are quantities use a regression loss such as "
        "mean_squared_error.",
    ),
    (
        SPARSE, [0.0, float("nan")], 3,
        "y: expected integer labels for sparse_categorical_crossentropy, found nan; class labels "
        "are whole numbers; for targets that are quantities use a regression loss such as "
        "mean_squared_error.",
    ),
    (
        SPARSE, np.eye(3), (None, 3),
        "y: expected integer labels for sparse_categorical_crossentropy, found shape (3, 3), as of "
        "one-hot labels; use categorical_crossentropy, or pass np.argmax(y, axis=-1).",
    ),
    (
        SPARSE, ["cat", "dog"], 3,
        "y: expected integer labels for sparse_categorical_crossentropy, found dtype <U3; encode "
        "the classes as whole numbers from 0.",
    ),
    (
        CATEGORICAL, [0, 2, 1], 3,
        "y: expected one-hot labels with 3 classes for categorical_crossentropy, found shape (3,), "
        "as of integer labels; use sparse_categorical_crossentropy, or pass "
        "keras.utils.to_categorical(y, 3).",
    ),
    (
        losses.categorical_focal_crossentropy, [[0], [2]], (None, 3),
        "y: expected one-hot labels with 3 classes for categorical_focal_crossentropy, found shape "
        "(2, 1), as of integer labels; use sparse_categorical_crossentropy, or pass "
        "keras.utils.to_categorical(y, 3).",
    ),
    (
        losses.BinaryCrossentropy(from_logits=True), [[0], [10], [20]], (None, 1),
        "y: expected targets in [0, 1] for binary_crossentropy, found 10; scale them to [0, 1], or "
        "use another loss.",
    ),
    (
        losses.BinaryFocalCrossentropy(), [[-1], [1]], (None, 1),
        "y: expected targets in [0, 1] for binary_focal_crossentropy, found -1; for targets -1 and "
        "1 use hinge, or pass (y + 1) / 2.",
    ),
]  # fmt: skip
FINE = [
    (SPARSE, [0, 1, 2], (None, 3)),
    (SPARSE, np.array([[0.0], [2.0]]), (None, 3)),
    (SPARSE, np.array([0, 250], "uint8"), (None, None)),
    (losses.SparseCategoricalCrossentropy(ignore_class=255), np.array([0, 255], "uint8"), 3),
    (CATEGORICAL, np.eye(3), (None, 3)),
    (CATEGORICAL, [[0.2, 0.8]], (None, 2)),
    (losses.BinaryCrossentropy(), [True, False], (None, 1)),
    (losses.MeanSquaredError(), [[-7.5]], (None, 1)),
    (lambda y_true, y_pred: y_pred, [[-7.5]], (None, 1)),
]


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_message(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize(("loss", "y", "shape", "text"), LABELS)
def test_labels_are_refused(loss, y, shape, text):
    with pytest.raises((ValueError, TypeError)) as caught:
        check_labels(loss, y, shape)
    assert str(caught.value) == text
    with pytest.raises((ValueError, TypeError)) as caught:
        check_labels(loss, y, shape, where="validation_data[1]")
    assert str(caught.value) == "validation_data[1]" + text[1:]


@pytest.mark.parametrize(("loss", "y", "shape"), FINE)
def test_labels_are_let_pass(loss, y, shape):
    assert check_labels(loss, y, shape) is None


def test_predictions_that_are_logits_are_refused():
    with pytest.raises(ValueError) as caught:
        check_predictions(losses.BinaryCrossentropy(), [[0.5], [3.5]])
    assert str(caught.value) == (
        "y_pred: expected probabilities in [0, 1] for binary_crossentropy, found 3.5; end the "
        'model with activation="sigmoid", or give the loss from_logits=True.'
    )
    with pytest.raises(ValueError, match='activation="softmax"'):
        check_predictions(SPARSE, [[0.5, -2.0]])
    for loss in (losses.BinaryCrossentropy(from_logits=True), losses.MeanSquaredError()):
        assert check_predictions(loss, [[0.5], [3.5]]) is None


def test_messages_are_the_same_under_jit():
    with pytest.raises(ValueError, match=r"found y_true \(8, 2\) and y_pred \(8, 1\)"):
        jax.jit(losses.MeanSquaredError())(ones((8, 2)), ones((8, 1)))


def test_what_call_must_be():
    with pytest.raises(NotImplementedError) as caught:
        losses.Loss()(ones(3), ones(3))
    assert str(caught.value) == "Loss must define call(self, y_true, y_pred)"
