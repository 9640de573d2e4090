"""`compile`, `fit`, `evaluate`, `predict` and the calls on batches against real Keras, row by row."""

import contextlib

import jax
import keras
import numpy as np
import optax
import pytest

import stepfit
from tests.training.fit_rows import ROWS, SIZE, WEIGHTS, X, Y, mlp, sgd

BY_ID = {row.id: row for row in ROWS}
assert len(BY_ID) == len(ROWS)


@contextlib.contextmanager
def policy(k, name):
    before = k.config.dtype_policy()
    if name:
        k.config.set_dtype_policy(name)
    try:
        yield
    finally:
        k.config.set_dtype_policy(before)


def arguments(value, k):
    return value(k) if callable(value) else dict(value)


def head(tree, rows):
    return jax.tree.map(lambda a: a[:rows], tree)


def run(k, row, weights=None):
    """Everything that one way of training gives, with the weights it began with."""
    keras.utils.set_random_seed(3)
    with policy(k, row.policy):
        model = row.model(k)
    if weights is None:
        rng = np.random.default_rng(5)
        weights = [
            np.abs(w) + rng.uniform(0.1, 1.0, w.shape).astype("float32")
            if "variance" in v.name else w + rng.normal(0, 0.2, w.shape).astype("float32")
            for v, w in zip(model.weights, model.get_weights(), strict=True)
            if w.dtype == "float32"
        ]  # fmt: skip
    model.set_weights(weights)
    compiled = {"optimizer": sgd(k), **arguments(row.compile, k)}
    if k is keras and "steps_per_execution" not in compiled:
        compiled["run_eagerly"] = True  # the same numbers, without the time to compile
    model.compile(**compiled)
    if row.after_compile:
        row.after_compile(model)
    fit = {"epochs": 2, "shuffle": False, "verbose": 0, **arguments(row.fit, k)}
    if row.data is None:
        fit = {"x": row.x, "y": row.y, "sample_weight": row.sample_weight, "batch_size": 8, **fit}
    else:
        fit["x"] = row.data()
    history = model.fit(**fit)
    model.set_weights(model.get_weights())  # after averaging, real Keras has two names for one array
    size = fit.get("batch_size", 8)
    found = {
        "history": history.history,
        "epochs": list(history.epoch),
        "weights": model.get_weights(),
    }
    held = {"y": row.y, "batch_size": size, "verbose": 0, "sample_weight": row.sample_weight}
    found["evaluate"] = model.evaluate(row.x, **held)
    found["evaluate_dict"] = model.evaluate(row.x, **held, return_dict=True)
    found["predict"] = model.predict(row.x, batch_size=size, verbose=0)
    x, y, w = head(row.x, size), head(row.y, size), head(row.sample_weight, size)
    found["predict_on_batch"] = model.predict_on_batch(x)
    found["test_on_batch"] = model.test_on_batch(x, y, w)
    found["train_on_batch_dict"] = model.train_on_batch(x, y, w, return_dict=True)
    found["weights_after"] = model.get_weights()
    found["iterations"] = int(model.optimizer.iterations)
    return found, weights


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Compile without most optimizations: it is most of the time of these tests."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def same(ours, theirs, tolerance, what):
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), what
        for name in theirs:
            same(ours[name], theirs[name], tolerance, f"{what}[{name!r}]")
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), what
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, tolerance, f"{what}[{i}]")
    else:
        assert np.shape(ours) == np.shape(theirs), what
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=what)


@pytest.mark.parametrize("row_id", BY_ID)
@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_training_is_keras(row_id):
    row = BY_ID[row_id]
    theirs, weights = run(keras, row)
    ours, _ = run(stepfit, row, weights)
    assert list(ours) == list(theirs)
    for what in theirs:
        same(ours[what], theirs[what], row.tolerance, what)
