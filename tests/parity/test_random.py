"""Random draws beside real Keras: shapes, dtypes, distributions' bounds, signatures, compilation.

The numbers differ from Keras's for equal seeds; what they are distributed like is checked by their
moments, in `tests/core/test_random.py`.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import functools
import inspect

import jax
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import random
from tests.parity.properties import in_json, without_row

LOGITS = np.log([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]]).astype("float32")
X = np.arange(12, dtype="float32").reshape(3, 4)
SHAPED = (4, 5)
ROWS = [
    ("normal", (SHAPED,), {"mean": 1.0, "stddev": 2.0}),
    ("uniform", (SHAPED,), {"minval": -1.0, "maxval": 3.0}),
    ("randint", (SHAPED, 0, 10), {}),
    ("truncated_normal", (SHAPED,), {"stddev": 2.0}),
    ("gamma", (SHAPED, 2.0), {}),
    ("binomial", (SHAPED, 10.0, 0.5), {}),
    ("beta", (SHAPED, 2.0, 3.0), {}),
    ("categorical", (LOGITS, 5), {}),
    ("categorical", (LOGITS, 5), {"dtype": "uint8"}),
    ("dropout", (X, 0.4), {}),
    ("dropout", (X, 0.4), {"noise_shape": (None, 1)}),
    ("shuffle", (X,), {}),
    ("shuffle", (X,), {"axis": 1}),
]
each_row = pytest.mark.parametrize(
    "name, args, kwargs", ROWS, ids=[f"{i}-{row[0]}" for i, row in enumerate(ROWS)]
)


def draw(library, name, args, kwargs, seed):
    return getattr(library.random, name)(*args, **kwargs, seed=seed)


@each_row
def test_shape_dtype_and_signature_are_keras(name, args, kwargs):
    dtypes = [{}]
    if "dtype" in inspect.signature(getattr(random, name)).parameters and "dtype" not in kwargs:
        dtypes += [{"dtype": "int16" if name in ("randint", "categorical") else "bfloat16"}]
    for dtype in dtypes:
        ours, theirs = (
            jax.eval_shape(functools.partial(draw, m, name, args, kwargs | dtype, 3))
            for m in (stepfit, oracle)
        )
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    parameters = [inspect.signature(getattr(m.random, name)).parameters for m in (stepfit, oracle)]
    ours, theirs = ([(p.name, p.default) for p in ps.values()] for ps in parameters)
    assert ours == theirs


@each_row
def test_compiles_once_and_draws_the_eager_numbers(name, args, kwargs):
    generator = random.SeedGenerator(7)
    arrays = [a for a in args if isinstance(a, np.ndarray)]

    @jax.jit
    def compiled(state, arrays):
        with stepfit.StatelessScope([(generator.state, state)]) as scope:
            y = draw(stepfit, name, (*arrays, *args[len(arrays) :]), kwargs, generator)
        return y, scope.get_current_value(generator.state)

    state = generator.state.value
    for _ in range(2):
        y, state = compiled(state, arrays)
        np.testing.assert_allclose(y, draw(stepfit, name, args, kwargs, generator), rtol=1e-6)
    assert compiled._cache_size() == 1


@pytest.mark.parametrize("name, args, kwargs", [r for r in ROWS if isinstance(r[1][0], np.ndarray)])
def test_shape_is_inferred_with_an_unknown_batch(name, args, kwargs):
    x, *rest = args
    found = draw(stepfit, name, (stepfit.Input(x.shape[1:]), *rest), kwargs, 1)
    expected = draw(stepfit, name, args, kwargs, 1)
    assert (found.shape, found.dtype) == ((None, *expected.shape[1:]), expected.dtype)


@pytest.mark.parametrize("kwargs", [{}, {"noise_shape": (None, 1)}])
def test_the_gradient_of_dropout_is_its_mask(kwargs):
    kept = np.asarray(random.dropout(np.ones_like(X), 0.4, seed=2, **kwargs))
    slope = jax.grad(lambda x: (x * random.dropout(x, 0.4, seed=2, **kwargs)).sum() / 2)(X)
    np.testing.assert_allclose(slope, X * kept, rtol=1e-6)


def test_config_of_a_generator():
    generator, theirs = (m.random.SeedGenerator(5, name="noise") for m in (stepfit, oracle))
    config = in_json(generator.get_config())
    assert config == theirs.get_config()
    again = random.SeedGenerator.from_config(config)
    assert again.name == generator.name
    np.testing.assert_array_equal(again.next(), generator.next())


def test_every_draw_has_a_row():
    assert without_row(random, [getattr(random, name) for name, *_ in ROWS]) == {"SeedGenerator"}
