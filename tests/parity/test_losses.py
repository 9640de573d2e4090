"""Every loss against real Keras, and the properties all of them share."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

from stepfit import losses
from tests.parity.losses import ROWS, data_for, weights_for
from tests.parity.properties import round_trip, without_row

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
every_class = pytest.mark.parametrize("name", sorted({row.name for row in ROWS}))
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
# The reduction stands once, in the base: one loss of each kind that it meets.
KINDS = ("MeanAbsoluteError", "Dice", "Circle")
REDUCED = [r for r in ROWS if r.name in KINDS or "ignore_class" in r.kwargs]


def both(row, **kwargs):
    make = [getattr(module.losses, row.name) for module in (OURS, oracle)]
    return [cls(**row.kwargs, **kwargs) for cls in make]


class OURS:
    losses = losses


def close(ours, theirs, rtol=2e-5, atol=2e-6):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=atol)


def values_shape(row, y_true, y_pred):
    return both(row, reduction="none")[0](y_true, y_pred).shape


def cases(row, seed=0):
    """Yield targets, predictions and weights that go together."""
    for shape in row.shapes:
        y_true, y_pred = data_for(row.data, shape, seed)
        found = [None] if row.scalar else weights_for(values_shape(row, y_true, y_pred))
        for weights in found:
            yield y_true, y_pred, weights


def mask_shape(row, y_true, y_pred):
    return y_pred.shape[:-1] if row.scalar else values_shape(row, y_true, y_pred)


def masked(y_pred, mask):
    y_pred = jnp.asarray(y_pred)
    y_pred._keras_mask = jnp.asarray(mask)
    return y_pred


@every_row
def test_values_are_keras(row):
    ours, theirs = both(row)
    for y_true, y_pred, weights in cases(row):
        close(ours(y_true, y_pred, weights), theirs(y_true, y_pred, weights))


@every_row
def test_masked_values_are_keras(row):
    ours, theirs = both(row)
    for y_true, y_pred, weights in list(cases(row))[::2]:
        mask = np.random.default_rng(1).random(mask_shape(row, y_true, y_pred)) > 0.4
        value = ours(y_true, masked(y_pred, mask), weights)
        close(value, theirs(y_true, masked(y_pred, mask), weights))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("row", REDUCED, ids=str)
def test_reductions_are_keras(row, reduction):
    ours, theirs = both(row, reduction=reduction)
    for y_true, y_pred, weights in cases(row):
        value, expected = ours(y_true, y_pred, weights), theirs(y_true, y_pred, weights)
        assert value.shape == expected.shape
        close(value, expected)
        if row.scalar and "mean" not in str(reduction):
            continue  # Keras spreads one number over the mask; here it stays one number
        mask = np.random.default_rng(1).random(mask_shape(row, y_true, y_pred)) > 0.4
        value = ours(y_true, masked(y_pred, mask), weights)
        close(value, theirs(y_true, masked(y_pred, mask), weights))


@every_row
def test_gradients_are_keras(row):
    ours, theirs = both(row)
    y_true, y_pred, weights = list(cases(row, seed=2))[-1]
    slope = jax.jit(jax.grad(lambda p: ours(y_true, p, weights)))(y_pred)
    expected = jax.jit(jax.grad(lambda p: theirs(y_true, p, weights)))(y_pred)
    close(slope, expected, rtol=1e-4)
    assert np.any(np.asarray(slope))


@every_row
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_computes_in_its_own_dtype(row, dtype):
    ours, theirs = both(row)
    y_true, y_pred = data_for(row.data, row.shapes[0])
    y_pred = y_pred.astype(dtype) if dtype == "float64" else jnp.asarray(y_pred, dtype)
    value = ours(y_true.astype("float64"), y_pred)
    assert value.dtype == "float32"
    close(value, theirs(y_true, y_pred), rtol=1e-4)


@every_row
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_function_keeps_the_dtype_of_predictions(row, dtype):
    ours, theirs = (loss.fn for loss in both(row))
    y_true, y_pred = data_for(row.data, row.shapes[0])
    y_pred = jnp.asarray(y_pred, dtype)
    value = ours(y_true, y_pred, **row.kwargs)
    assert value.dtype == dtype
    tolerance = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 1e-4}[dtype]
    expected = theirs(y_true, y_pred.astype("float32"), **row.kwargs)
    close(value.astype("float32"), expected, rtol=tolerance, atol=tolerance)


@every_row
def test_config_round_trip(row):
    (ours, _), (y_true, y_pred) = both(row, reduction="sum"), data_for(row.data, row.shapes[0])
    again = round_trip(losses, ours)
    assert (again.name, again.reduction) == (ours.name, "sum")
    assert again(y_true, y_pred) == ours(y_true, y_pred)


@every_row
def test_compiles_once_to_the_eager_value(row):
    (ours, _), traces = both(row), []

    @jax.jit
    def compiled(y_true, y_pred):
        traces.append(1)
        return ours(y_true, y_pred)

    for seed in range(3):
        y_true, y_pred = data_for(row.data, row.shapes[0], seed)
        close(compiled(y_true, y_pred), ours(y_true, y_pred), rtol=1e-5)
    assert len(traces) == 1


@every_class
def test_signature_and_name_are_keras(name):
    ours, theirs = getattr(losses, name), getattr(oracle.losses, name)
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert ours().name == theirs().name


@pytest.mark.parametrize("name", sorted(oracle.src.losses.ALL_OBJECTS_DICT))
def test_get_accepts_every_name_of_keras(name):
    if name in ("Loss", "LossFunctionWrapper"):
        expected = losses.Loss if name == "Loss" else None
        if expected is None:
            with pytest.raises(TypeError, match=r"pass an instance: LossFunctionWrapper\(fn=...\)"):
                losses.get(name)
        else:
            assert type(losses.get(name)) is expected
    else:
        ours, theirs = losses.get(name), oracle.losses.get(name)
        if inspect.isfunction(theirs):
            assert ours.__name__ == theirs.__name__
        else:
            assert type(ours).__name__ == type(theirs).__name__


def test_masks_and_ignored_classes_reach_the_loss_under_jit():
    from stepfit.core import masks

    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    y_true, y_pred = data_for("labels", (4, 5, 3))
    mask = np.random.default_rng(1).random((4, 5)) > 0.4

    @jax.jit
    def compiled(y_pred, mask):
        y_pred = y_pred * 1.0
        masks.set_mask(y_pred, mask)
        return loss(y_true, y_pred)

    close(compiled(y_pred, mask), loss(y_true, masked(y_pred, mask)))
    kept = mask & (y_true != 0)
    picked = np.take_along_axis(y_pred, y_true[..., None], -1)[..., 0]
    close(loss(y_true, masked(y_pred, mask)), -np.log(picked[kept]).mean(), rtol=1e-4)


WITHOUT_ROW = {
    "Loss", "LossFunctionWrapper", "deserialize", "get", "serialize",
    "resolve", "check_activation", "check_labels", "check_predictions",  # of `compile` and `fit`
}  # fmt: skip


def test_every_loss_has_a_row():
    pairs = [(getattr(losses, row.name), both(row)[0].fn) for row in ROWS]
    assert without_row(losses, [thing for pair in pairs for thing in pair]) == WITHOUT_ROW
