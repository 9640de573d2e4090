"""to_categorical, normalize, packing and seeds."""

import random
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepfit import utils
from stepfit.core import seeding
from stepfit.random import seed_generator

LABELS = {
    "list": [0, 2, 1],
    "column": [[0], [2], [1]],
    "row": [[0, 2, 1]],
    "matrix": [[0, 1], [2, 1]],
    "scalar": 3,
    "float": [0.0, 2.0],
    "bool": [True, False],
    "uint8": np.array([0, 5], "uint8"),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("num_classes", [None, 7])
def test_to_categorical_is_that_of_keras(name, num_classes):
    import keras

    ours = utils.to_categorical(LABELS[name], num_classes)
    theirs = keras.utils.to_categorical(LABELS[name], num_classes)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    on_device = utils.to_categorical(jnp.asarray(LABELS[name]), num_classes)
    np.testing.assert_array_equal(on_device, theirs)
    assert isinstance(on_device, jax.Array) and on_device.dtype == np.float32


def test_to_categorical_inside_jit():
    found = jax.jit(lambda y: utils.to_categorical(y, 3))(jnp.array([2, 0]))
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 0, 0]])


CATEGORICAL = "to_categorical(x): expected "
BAD = [
    (lambda: utils.to_categorical([0, -1]), ValueError,
     CATEGORICAL + "classes from 0 to 0, found the class -1; shift or mask such labels first."),
    (lambda: utils.to_categorical([0, 3], 3), ValueError,
     CATEGORICAL + "classes from 0 to 2, found the class 3; classes are counted from 0."),
    (lambda: utils.to_categorical([0.5]), ValueError,
     CATEGORICAL + "integer classes, found fractions (float64)."),
    (lambda: utils.to_categorical(["a"]), TypeError,
     CATEGORICAL + "integer classes, found dtype <U1; map the names of the classes to integers "
     "first."),
    (lambda: utils.to_categorical([]), ValueError,
     CATEGORICAL + "at least one label, or num_classes, found none."),
    (lambda: jax.jit(utils.to_categorical)(jnp.array([1])), ValueError,
     CATEGORICAL + "known values or num_classes, found a traced array; pass num_classes inside "
     "jax.jit."),
    (lambda: utils.set_random_seed(1.5), TypeError,
     "set_random_seed(seed): expected an integer from 0 to 2**32 - 1, found 1.5."),
    (lambda: utils.set_random_seed(-1), ValueError,
     "set_random_seed(seed): expected an integer from 0 to 2**32 - 1, found -1."),
    (lambda: utils.unpack_x_y_sample_weight((1, 2, 3, 4)), ValueError,
     "data: expected x, (x,), (x, y) or (x, y, sample_weight), found tuple of 4 elements; pass "
     "several inputs as one element: ((x1, x2), y)."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), BAD, ids=[row[2][:50] for row in BAD])
def test_message(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize(axis, order):
    x = np.random.RandomState(0).normal(size=(3, 4))
    x[0] = 0
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    expected = np.divide(x, norm, where=norm != 0, out=np.zeros_like(x))
    np.testing.assert_allclose(utils.normalize(x, axis, order), expected)
    on_device = utils.normalize(jnp.asarray(x), axis, order)
    np.testing.assert_allclose(on_device, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), order=st.sampled_from([1, 2]))
def test_normalize_is_that_of_keras_on_the_last_axis(rows, columns, order):
    import keras

    x = np.random.RandomState(columns).normal(size=(rows, columns))
    np.testing.assert_allclose(
        utils.normalize(x, order=order), keras.utils.normalize(x, order=order)
    )


PACKED = [((1, None, None), 1), ((1, 2, None), (1, 2)), ((1, 2, 3), (1, 2, 3)),
          (([1], None, None), ([1],)), ((1, None, 3), (1, None, 3))]  # fmt: skip


@pytest.mark.parametrize(("parts", "data"), PACKED)
def test_packing_and_unpacking(parts, data):
    assert utils.pack_x_y_sample_weight(*parts) == data
    assert utils.unpack_x_y_sample_weight(data) == parts
    if isinstance(data, tuple):
        assert utils.unpack_x_y_sample_weight(list(data)) == parts


def test_set_random_seed_fixes_every_source():
    def draw():
        key = seed_generator.global_generator().next()
        return random.random(), np.random.rand(), seeding.draw_seed(), np.asarray(key).tolist()

    utils.set_random_seed(5)
    first = draw()
    other = draw()
    utils.set_random_seed(5)
    assert draw() == first
    assert all(a != b for a, b in zip(first, other, strict=True))
    utils.set_random_seed(6)
    assert all(a != b for a, b in zip(first, draw(), strict=True))


def test_the_first_seed_of_a_process_counts_like_any_other():
    code = """
import stepfit as keras
found = []
for _ in range(2):
    keras.utils.set_random_seed(3)
    found.append([float(keras.random.normal(()))])
    layer = keras.layers.Dense(1)
    layer.build((1, 1))
    found[-1].append(float(layer.kernel.value[0, 0]))
print(found[0] == found[1], found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("True"), done.stdout + done.stderr
