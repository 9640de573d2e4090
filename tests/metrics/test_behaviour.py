"""What single metrics do beside what the table of all of them checks."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras as oracle
import numpy as np
import pytest

from stepfit import metrics


@pytest.mark.parametrize("name", ["pearson_correlation", "concordance_correlation"])
@pytest.mark.parametrize("axis", [-1, 0, (0, 1)], ids=str)
def test_correlations_as_functions(name, axis):
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    found = getattr(metrics, name)(y_true, y_pred, axis=axis)
    expected = getattr(oracle.metrics, name)(y_true, y_pred, axis=axis)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_fractions_as_weights_of_whole_numbers():
    metric = metrics.BinaryIoU(name="iou")
    with pytest.warns(UserWarning, match="whole numbers as sample_weight, found float32; fract"):
        metric.update_state([0, 1], [0.0, 1.0], sample_weight=np.float32([1.0, 0.5]))
    assert np.asarray(metric.total_cm).tolist() == [[1, 0], [0, 0]]
