"""Layers that learn from data before training: statistics and vocabularies arrive in both ways."""

import numpy as np
import pytest

from tests.saving.models import LIBRARIES
from tests.saving.test_keras_files import DIRECTIONS

ROWS = {  # layer: (arguments, what it adapts to, shape and dtype of the input, an input)
    "Normalization": ({}, np.arange(12.0).reshape(4, 3), ((3,), "float32"), np.ones((2, 3))),
    "Discretization": ({"num_bins": 3}, np.arange(20.0).reshape(-1, 1), ((1,), "float32"),
                       np.array([[2.0], [15.0]])),
    "IntegerLookup": ({}, np.array([3, 3, 4, 9]), ((1,), "int64"), np.array([[3], [7]])),
    "StringLookup": ({}, np.array(["a", "b", "b"]), ((1,), "string"), np.array([["b"], ["z"]])),
}  # fmt: skip


@pytest.mark.parametrize("cls", ROWS)
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_what_they_learned(cls, source, target, tmp_path):
    arguments, data, (shape, dtype), x = ROWS[cls]
    k = LIBRARIES[source]
    layer = getattr(k.layers, cls)(**arguments)
    layer.adapt(data)
    path = str(tmp_path / "m.keras")
    k.Sequential([k.Input(shape, dtype=dtype), layer]).save(path)
    found = LIBRARIES[target].saving.load_model(path).layers[0]
    np.testing.assert_allclose(np.asarray(found(x)), np.asarray(layer(x)), rtol=1e-5)
