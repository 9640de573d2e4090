"""What metrics say about bad input, word for word."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from stepfit import metrics

ones = np.ones


class NoSuper(metrics.Metric):
    def __init__(self):
        self.total = self.add_variable(name="total")


class Nothing(metrics.Metric):
    pass


def mae():
    return metrics.MeanAbsoluteError(name="mae")


MESSAGES = [
    (
        lambda: metrics.IoU(2, [0, 2]),
        ValueError,
        "IoU target_class_ids: expected ints of at least 0, below num_classes = 2, found 2.",
    ),
    (
        lambda: metrics.MeanIoU(2, name="iou").update_state(ones(3), ones((3, 2))),
        ValueError,
        'metric "iou": expected y_true and y_pred of the same shape, found y_true (3,) and y_pred '
        "(3, 2); for predictions with an axis of classes pass sparse_y_pred=False.",
    ),
    (
        lambda: metrics.F1Score("mean"),
        ValueError,
        "F1Score average: expected the name of a mean over classes, found 'mean'; known "
        "names: 'None', 'macro', 'micro', 'weighted'.",
    ),
    (
        lambda: metrics.FBetaScore(beta=0.0),
        ValueError,
        "FBetaScore beta: expected a float above 0, found 0.0.",
    ),
    (
        lambda: metrics.F1Score(threshold=0.0),
        ValueError,
        "F1Score threshold: expected a float above 0, at most 1, or None, found 0.0.",
    ),
    (
        lambda: metrics.F1Score(name="f1").update_state(ones(3), ones(3)),
        ValueError,
        'metric "f1": expected y_true and y_pred of shape (batch, classes), found y_true (3,) and '
        "y_pred (3,); give both an axis for one class: x[:, None].",
    ),
    (
        lambda: mae().stateless_update_state([], ones(3), ones(3)),
        ValueError,
        'metric "mae": stateless_update_state expected 2 metric variables (total, count), found 0; '
        "pass the values of metric.variables, or stateless_reset_state().",
    ),
    (
        lambda: mae().stateless_result([1.0, 2.0, 3.0]),
        ValueError,
        'metric "mae": stateless_result expected 2 metric variables (total, count), found 3; pass '
        "the values of metric.variables, or stateless_reset_state().",
    ),
    (
        lambda: mae().stateless_result([1.0, ones(3)]),
        ValueError,
        "Variable 'mae/count': expected a value of shape (), found shape (3,).",
    ),
    (
        lambda: metrics.Mean(name="kl_loss").update_state(ones(8), ones((8, 10))),
        ValueError,
        'metric "kl_loss": expected sample_weight that broadcasts onto values of shape (8,), found '
        "shape (8, 10); give one weight per sample or per value; Mean and Sum take (values, "
        "sample_weight), not (y_true, y_pred).",
    ),
    (
        lambda: metrics.Mean(name="kl_loss").update_state(1.5, ones((8, 10))),
        ValueError,
        'metric "kl_loss": expected sample_weight that broadcasts onto values of shape (), found '
        "shape (8, 10); give one weight per sample or per value; Mean and Sum take (values, "
        "sample_weight), not (y_true, y_pred).",
    ),
    (
        lambda: mae().update_state(ones((8, 2)), ones((8, 1))),
        ValueError,
        "mean_absolute_error: expected y_true and y_pred of the same shape, found y_true (8, 2) "
        "and y_pred (8, 1); give the model's last layer 2 units, or reshape y.",
    ),
    (
        lambda: metrics.RootMeanSquaredError(name="rmse").update_state(ones((8, 2)), ones((8, 1))),
        ValueError,
        'metric "rmse": expected y_true and y_pred of the same shape, found y_true (8, 2) and '
        "y_pred (8, 1); give the model's last layer 2 units, or reshape y.",
    ),
    (
        lambda: metrics.CategoricalAccuracy().update_state(ones(8), ones((8, 3))),
        ValueError,
        "categorical_accuracy: expected y_true and y_pred of the same shape, found y_true (8,) and "
        "y_pred (8, 3); for integer class labels use the metric of this name with sparse_ in "
        "front.",
    ),
    (
        lambda: metrics.SparseCategoricalAccuracy().update_state(ones((8, 3)), ones((8, 3))),
        ValueError,
        "sparse_categorical_accuracy: expected integer labels y_true (8,) for y_pred (8, 3), found "
        "y_true (8, 3); for one-hot labels use the metric of this name without sparse_.",
    ),
    (
        lambda: metrics.SparseTopKCategoricalAccuracy().update_state(ones((8, 2)), ones((8, 3))),
        ValueError,
        "sparse_top_k_categorical_accuracy: expected integer labels y_true (8,) for y_pred (8, 3), "
        "found y_true (8, 2); the labels have the shape of the predictions without the last axis.",
    ),
    (
        lambda: metrics.AUC(name="auc").update_state(ones(8), ones((8, 3))),
        ValueError,
        'metric "auc": expected y_true and y_pred of the same shape, found y_true (8,) and y_pred '
        "(8, 3); for integer class labels make y one-hot, with keras.utils.to_categorical(y, 3), "
        "and use categorical_crossentropy.",
    ),
    (
        lambda: metrics.Precision(name="precise").update_state(ones((8, 1)), ones((8, 3))),
        ValueError,
        'metric "precise": expected y_true and y_pred of the same shape, found y_true (8, 1) and '
        "y_pred (8, 3); for integer class labels make y one-hot, with "
        "keras.utils.to_categorical(y, 3), and use categorical_crossentropy.",
    ),
    (
        lambda: metrics.F1Score(name="f1").update_state(ones(8), ones((8, 3))),
        ValueError,
        'metric "f1": expected y_true and y_pred of shape (batch, classes), found y_true (8,) and '
        "y_pred (8, 3); for integer class labels make y one-hot, with "
        "keras.utils.to_categorical(y, 3), and use categorical_crossentropy.",
    ),
    (
        lambda: metrics.Mean().add_weight("total", initializer="zeros"),
        TypeError,
        "Mean.add_weight(shape): expected a tuple of ints, found 'total'; write "
        "add_weight(shape=..., name='total').",
    ),
    (
        lambda: metrics.AUC(name="auc", multi_label=True).update_state(ones(8), ones(8)),
        ValueError,
        'metric "auc": expected y_pred of shape (batch, labels), found (8,).',
    ),
    (
        lambda: metrics.AUC(num_labels=3),
        ValueError,
        "num_labels: expected None without multi_label, found 3; pass multi_label=True.",
    ),
    (
        lambda: metrics.AUC(curve="ROCK"),
        ValueError,
        "curve: expected the name of a curve, found 'ROCK'; did you mean 'ROC'?",
    ),
    (
        lambda: metrics.AUC(summation_method="interpolate"),
        ValueError,
        "summation_method: expected the name of a summation method, found 'interpolate'; did you "
        "mean 'interpolation'?",
    ),
    (
        lambda: metrics.AUC(num_thresholds=1),
        ValueError,
        "num_thresholds: expected an int > 1, found 1.",
    ),
    (
        lambda: metrics.Precision(thresholds=[0.5, 1.5], name="p"),
        ValueError,
        'metric "p" thresholds: expected numbers in [0, 1], found 1.5.',
    ),
    (
        lambda: metrics.Recall(class_id=3, name="r").update_state(ones((8, 3)), ones((8, 3))),
        ValueError,
        'metric "r": expected y_pred with a class 3 on its last axis, found (8, 3).',
    ),
    (
        lambda: metrics.Precision(name="p").update_state(ones(8), ones(8), ones(5)),
        ValueError,
        'metric "p": expected sample_weight that broadcasts onto values of shape (8,), found '
        "sample_weight (5,); give one weight per sample, or one per value.",
    ),
    (
        lambda: metrics.SensitivityAtSpecificity(1.5),
        ValueError,
        "specificity: expected a number in [0, 1], found 1.5.",
    ),
    (
        lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0),
        ValueError,
        "num_thresholds: expected an int > 0, found 0.",
    ),
    (
        lambda: metrics.R2Score(name="r2").update_state(ones((8, 3, 2)), ones((8, 3, 2))),
        ValueError,
        'metric "r2": expected y_true and y_pred of shape (batch, outputs), found y_true (8, 3, 2) '
        "and y_pred (8, 3, 2).",
    ),
    (
        lambda: metrics.R2Score(class_aggregation="uniform"),
        ValueError,
        "class_aggregation: expected the name of a mean over outputs, found 'uniform'; did you "
        "mean 'uniform_average'?",
    ),
    (
        lambda: metrics.R2Score(num_regressors=-1),
        ValueError,
        "num_regressors: expected a number >= 0, found -1.",
    ),
    (
        lambda: metrics.MeanMetricWrapper(lambda t, p: None, name="mine")(ones(3), ones(3)),
        TypeError,
        'metric "mine": expected an array of one value per sample, found None; return the values.',
    ),
    (
        lambda: mae().reset_states(),
        AttributeError,
        'metric "mae": expected reset_state(), found reset_states(), its name in Keras 2; write '
        "reset_state().",
    ),
    (
        NoSuper,
        RuntimeError,
        "NoSuper: expected super().__init__(name=name) to run before add_variable, found that it "
        "did not; call it first in __init__.",
    ),
    (
        lambda: Nothing().update_state(),
        NotImplementedError,
        "Nothing must define update_state(self, ...)",
    ),
    (lambda: Nothing().result(), NotImplementedError, "Nothing must define result(self)"),
    (
        lambda: metrics.Mean(name="a").merge_state([metrics.Precision(thresholds=[0, 1])]),
        ValueError,
        'metric "a": merge_state: expected variables of shapes [(), ()], found [(2,), (2,)] in '
        'metric "precision".',
    ),
    (
        lambda: metrics.get("binary_acuracy"),
        ValueError,
        "metric: expected the name of a metric, found 'binary_acuracy'; did you mean "
        "'binary_accuracy'?",
    ),
    (
        lambda: metrics.get(metrics.RecallAtPrecision),
        TypeError,
        "metric: expected a metric that needs no arguments, found the class RecallAtPrecision; "
        "pass an instance: RecallAtPrecision(precision=...).",
    ),
    (
        lambda: metrics.get(0.5),
        TypeError,
        "metric: expected a metric, its name, or a callable, found 0.5.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_message(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
