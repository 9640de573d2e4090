"""Every metric against real Keras over several batches, and the properties all of them share."""

import copy
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

from stepfit import losses, metrics
from tests.parity.metrics import ROWS, batches, weights
from tests.parity.properties import round_trip, without_row

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
NAMES = sorted({row.name for row in ROWS})
every_class = pytest.mark.parametrize("name", NAMES)
FIRST = [next(row for row in ROWS if row.name == name) for name in NAMES]
first_row = pytest.mark.parametrize("row", FIRST, ids=str)


def ours(row):
    return getattr(metrics, row.name)(**row.kwargs)


def theirs(row):
    return getattr(oracle.metrics, row.name)(**row.kwargs)


def close(found, expected, row, rtol=2e-5):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=row.atol)


@every_row
def test_values_over_batches_are_keras(row):
    for rank in (None, *row.weight_ranks):
        metric, expected = ours(row), theirs(row)
        for args in batches(row):
            weight = weights(row, rank, len(args[0]))
            metric.update_state(*args, sample_weight=weight)
            expected.update_state(*args, sample_weight=weight)
            close(metric.result(), expected.result(), row)
        for found, kept in zip(metric.variables, expected.variables, strict=True):
            close(found, kept.value, row)  # the same state, in the same order


@every_row
def test_mask_of_predictions_is_keras(row):
    for rank in (None, *row.weight_ranks):
        metric, expected = ours(row), theirs(row)
        for args in batches(row):
            values_shape = args[-1].shape[: max(2, 1 + len(row.shape)) - 1]
            if rank == 1:
                values_shape = values_shape[:1]
            if row.kwargs.get("axis") == 1:
                values_shape = (len(args[0]), row.shape[-1])[: None if rank is None else 1]
            mask = np.random.default_rng(1).random(values_shape) > 0.4
            weight = weights(row, rank, len(args[0]))
            for m in (metric, expected):
                y_pred = jnp.asarray(args[-1])
                y_pred._keras_mask = jnp.asarray(mask)
                m.update_state(*args[:-1], y_pred, sample_weight=weight)
        close(metric.result(), expected.result(), row)


@every_row
def test_stateless_equals_stateful_and_compiles_once(row):
    metric, pure, traces = ours(row), ours(row), []
    for args in batches(row):
        metric.update_state(*args)
    args = batches(row)[0]
    pure(*args)  # makes the Variables of metrics that wait for shapes
    state = pure.stateless_reset_state()

    @jax.jit
    def update(state, args):
        traces.append(1)
        state = pure.stateless_update_state(state, *args)
        return state, pure.stateless_result(state)

    before = [np.asarray(v) for v in pure.variables]
    for args in batches(row):
        state = pure.stateless_update_state(state, *args)
    for found, expected in zip(state, metric.variables, strict=True):
        close(found, expected, row)
    close(pure.stateless_result(state), metric.result(), row)
    for found, kept in zip(pure.variables, before, strict=True):
        np.testing.assert_array_equal(found, kept)  # nothing leaked into the metric

    metric.reset_state()
    state = pure.stateless_reset_state()
    for _ in range(2):
        state, value = update(state, args)
        metric.update_state(*args)
        close(value, metric.result(), row)
    assert len(traces) == 1


@every_row
def test_reset_starts_again(row):
    metric, fresh = ours(row), ours(row)
    for args in batches(row, seed=7):
        metric.update_state(*args)
    metric.reset_state()
    assert all(not np.any(v) for v in metric.variables)
    for args in batches(row):
        metric.update_state(*args)
        fresh.update_state(*args)
    np.testing.assert_array_equal(metric.result(), fresh.result())


@every_row
def test_states_merge(row):
    parts, whole = [ours(row), ours(row)], ours(row)
    for part, args in zip(parts, batches(row), strict=True):
        part.update_state(*args)
        whole.update_state(*args)
    parts[0].merge_state(parts[1:])
    close(parts[0].result(), whole.result(), row)


@every_row
def test_config_round_trip(row):
    metric = ours(row)
    again = round_trip(metrics, metric)
    assert again.name == metric.name
    for args in batches(row):
        metric.update_state(*args)
        again.update_state(*args)
    np.testing.assert_array_equal(metric.result(), again.result())


@first_row
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_float_inputs(row, dtype):
    metric, expected = ours(row), ours(row)
    for args in batches(row):
        to = np.asarray if dtype == "float64" else jnp.asarray  # JAX has no float64 here
        args = [to(x, dtype) if x.dtype.kind == "f" else x for x in args]
        metric.update_state(*args)
        expected.update_state(*(np.asarray(x, "float32") for x in args))
    assert metric.result().dtype == "float32"
    close(metric.result(), expected.result(), row, rtol=1e-5 if dtype == "float64" else 2e-2)


@first_row
def test_deep_copies_share_nothing(row):
    metric = ours(row)
    metric(*batches(row)[0])
    twin, value = copy.deepcopy(metric), np.asarray(metric.result())
    np.testing.assert_array_equal(twin.result(), value)
    twin.reset_state()
    np.testing.assert_array_equal(metric.result(), value)


@every_class
def test_signature_name_and_direction_are_keras(name):
    cls, oracle_cls = getattr(metrics, name), getattr(oracle.metrics, name)
    assert str(inspect.signature(cls)) == str(inspect.signature(oracle_cls))
    row = next(row for row in ROWS if row.name == name)
    metric, expected = ours(row), theirs(row)
    assert metric._direction == getattr(expected, "_direction", None)
    assert metric.name == expected.name or expected.name.startswith(metric.name + "_")
    assert [v.path.split("/")[1] for v in metric.variables] == [v.name for v in expected.variables]


@pytest.mark.parametrize("name", sorted(oracle.src.metrics.ALL_OBJECTS_DICT))
def test_get_accepts_every_name_of_keras(name):
    cls = oracle.src.metrics.ALL_OBJECTS_DICT[name]
    needed = [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    if needed:
        with pytest.raises(TypeError, match=rf"pass an instance: {cls.__name__}\({needed[0]}=..."):
            metrics.get(name)
    else:
        assert type(metrics.get(name)).__name__ == cls.__name__


WITHOUT_ROW = {
    "Metric", "MeanMetricWrapper", "deserialize", "get", "serialize",
    "resolve", "resolve_accuracy", "resolve_crossentropy",  # what `compile` makes of names
}  # fmt: skip


def test_every_metric_has_a_row():
    functions = [getattr(metric, "_fn", None) for metric in map(ours, ROWS)]
    tested = [getattr(metrics, name) for name in NAMES] + functions
    tested += [getattr(losses, name) for name in losses.__all__]  # have rows in the losses' table
    assert without_row(metrics, tested) == WITHOUT_ROW
