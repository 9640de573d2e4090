"""Metrics that users write, and metrics inside compiled code: state, masks, names, nesting."""

import functools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import stepfit
from stepfit import losses, metrics
from stepfit.core import masks


class BinaryTruePositives(metrics.Metric):
    """As in Keras's documentation: `result` returns the Variable itself."""

    def __init__(self, name="binary_true_positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.true_positives = self.add_weight(shape=(), initializer="zeros", name="tp")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = jnp.logical_and(y_true == 1, y_pred > 0.5).astype(self.dtype)
        if sample_weight is not None:
            values = values * jnp.broadcast_to(sample_weight, values.shape)
        self.true_positives.assign(self.true_positives + jnp.sum(values))

    def result(self):
        return self.true_positives


class Extremes(metrics.Metric):
    """Several variables, an initial value that is not zero, and a dict as result."""

    def __init__(self, limit, **kwargs):
        super().__init__(**kwargs)
        self.limit = limit
        self.low = self.add_variable((), lambda shape, dtype: jnp.full(shape, limit, dtype),
                                     aggregation="none", name="low")  # fmt: skip
        self.mean = metrics.Mean(name="inner")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.low.assign(jnp.minimum(self.low, jnp.min(y_pred)))
        self.mean.update_state(y_pred)

    def result(self):
        return {"low": self.low, "mean": self.mean.result()}


Y = np.array([0.0, 1.0, 1.0, 1.0], "float32")
P = np.array([1.0, 0.9, 0.2, 0.6], "float32")


def test_users_metric_runs_eagerly_statelessly_and_compiled():
    metric = BinaryTruePositives()
    assert float(metric(Y, P)) == 2.0
    metric.update_state(Y, P, sample_weight=0.5)
    assert float(metric.result()) == 3.0
    state = jax.jit(metric.stateless_update_state)(metric.stateless_reset_state(), Y, P)
    value = metric.stateless_result(state)
    assert isinstance(value, jax.Array) and float(value) == 2.0
    assert float(metric.result()) == 3.0
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_result_is_the_scopes_value_not_the_variable():
    metric = BinaryTruePositives()
    with stepfit.StatelessScope() as scope:
        metric.update_state(Y, P)
        value = metric.result()
    assert float(value) == float(scope.get_current_value(metric.true_positives)) == 2.0
    assert float(metric.result()) == 0.0


def test_dict_results_nested_metrics_and_initial_values():
    metric = Extremes(9.0, name="extremes")
    assert [v.path for v in metric.variables] == ["extremes/low", "inner/total", "inner/count"]
    state = metric.stateless_update_state(metric.stateless_reset_state(), Y, P)
    found = metric.stateless_result(state)
    assert {k: round(float(v), 4) for k, v in found.items()} == {"low": 0.2, "mean": 0.675}
    assert float(metric.result()["low"]) == 9.0
    metric.update_state(Y, P)
    metric.reset_state()
    assert float(metric.low) == 9.0 and float(metric.mean.count) == 0.0
    assert metric.get_config() == {"limit": 9.0, "name": "extremes"}
    assert Extremes.from_config(metric.get_config()).limit == 9.0


def test_variables_are_found_in_lists_and_dicts_and_only_once():
    metric = metrics.Metric(name="m")
    total = metric.add_variable(name="total")
    metric.again, metric.parts = total, {"a": [metrics.Mean()], "b": stepfit.Variable(1.0)}
    names = [v.name for v in metric.variables]
    assert len(names) == 4 and names[0] == "total" and set(names) > {"total", "count"}
    assert not total.trainable and not total.autocast


def test_a_function_becomes_a_metric_of_its_name():
    def gap(y_true, y_pred):
        return jnp.abs(y_true - y_pred)

    metric = metrics.resolve(gap, (4,), (4,))
    assert metric.name == "gap" and metric._direction is None
    metric.update_state(Y, P, sample_weight=[1.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(metric.result(), 0.7, rtol=1e-6)
    assert metrics.resolve(losses.huber, (4,), (4,))._direction == "down"


def test_a_loss_object_as_a_metric_takes_weights():
    metric = metrics.resolve(losses.MeanSquaredError(), (4, 1), (4, 1))
    assert metric.name == "mean_squared_error"
    metric.update_state(Y[:, None], P[:, None], sample_weight=[1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(metric.result(), 0.25, rtol=1e-6)


@pytest.mark.parametrize("name", ["acc", "accuracy"])
def test_accuracy_is_resolved_from_shapes(name):
    kinds = {
        ((8,), (8, 1)): metrics.BinaryAccuracy,
        ((8, 1), (8, 1)): metrics.BinaryAccuracy,
        ((8,), (8, 3)): metrics.SparseCategoricalAccuracy,
        ((8, 1), (8, 3)): metrics.SparseCategoricalAccuracy,
        ((None, 3), (None, 3)): metrics.CategoricalAccuracy,
        ((None, 5), (None, 5, 4)): metrics.SparseCategoricalAccuracy,
    }
    for shapes, cls in kinds.items():
        metric = metrics.resolve(name, *shapes)
        assert type(metric) is cls and metric.name == name
    found = metrics.resolve("ce", (8,), (8, 3))
    assert type(found) is metrics.SparseCategoricalCrossentropy and found.name == "ce"


def test_resolve_names_metrics_as_asked():
    assert metrics.resolve("mse", (4,), (4,)).name == "mse"
    assert metrics.resolve("AUC", (4,), (4,)).name == "AUC"
    assert metrics.resolve(metrics.AUC(name="mine"), (4,), (4,)).name == "mine"
    assert metrics.resolve("mse", (4,), (4,)).get_config()["name"] == "mse"


def test_masks_under_jit():
    metric = metrics.MeanAbsoluteError()
    y_pred, mask = np.arange(12.0).reshape(2, 3, 2), np.array([[1, 1, 0], [0, 0, 1]], bool)

    @jax.jit
    def update(state, y_pred, mask):
        y_pred = y_pred + 0.0
        masks.set_mask(y_pred, mask)
        return metric.stateless_update_state(state, jnp.zeros((2, 3, 2)), y_pred)

    state = update(metric.stateless_reset_state(), y_pred, mask)
    kept = y_pred.mean(-1)[mask]
    # As in Keras, a batch of sequences counts by the mean over its steps.
    expected = (y_pred.mean(-1) * mask).mean(1).sum() / mask.mean(1).sum()
    np.testing.assert_allclose(metric.stateless_result(state), expected, rtol=1e-6)
    np.testing.assert_allclose(expected, kept.mean(), rtol=1e-6)


def test_a_batch_of_16_bit_numbers_is_counted_in_full():
    metric = metrics.SparseCategoricalAccuracy()
    labels = np.arange(300)
    metric.update_state(labels, jnp.eye(300, dtype="bfloat16"))
    assert float(metric.result()) == 1.0
    mean = metrics.Mean()
    mean.update_state(jnp.ones(5000, "bfloat16"))
    assert (float(mean.total), float(mean.count)) == (5000.0, 5000.0)


def test_multi_label_state_grows_at_the_first_update_under_jit():
    metric = metrics.AUC(multi_label=True, num_thresholds=5)
    y, p = np.eye(3)[[0, 1, 2, 0]], np.linspace(0, 1, 12).reshape(4, 3)
    assert metric.variables == [] and float(metric.result()) == 0.0
    state = jax.jit(metric.stateless_update_state)(metric.stateless_reset_state(), y, p)
    expected = metrics.AUC(multi_label=True, num_thresholds=5)
    np.testing.assert_allclose(metric.stateless_result(state), expected(y, p), rtol=1e-6)
    assert len(metric.variables) == 4 and not np.any(metric.true_positives)


def test_adjusted_r2_says_when_it_cannot_adjust():
    metric = metrics.R2Score(num_regressors=5, name="r2")
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])
    with pytest.warns(UserWarning) as caught:
        value = metric.result()
    assert str(caught[0].message) == (
        'metric "r2": expected more targets than num_regressors + 1 = 6, found 3; the score is '
        "not adjusted."
    )
    plain = metrics.R2Score()([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(value, plain, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(metric.stateless_result)(metric.variables), plain, rtol=1e-6)


# XLA takes subnormal numbers for 0.
floats = functools.partial(st.floats, width=32, allow_subnormal=False)
values = arrays.arrays("float32", st.integers(1, 6), elements=floats(-4, 4))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(values, st.integers(0, 1000)), min_size=1, max_size=4))
def test_mean_and_sum_are_those_of_all_values_together(parts):
    mean, total = metrics.Mean(), metrics.Sum()
    every, weights = [], []
    for x, seed in parts:
        w = np.random.default_rng(seed).random(x.shape).astype("float32") + 0.1
        mean.update_state(x, w)
        total.update_state(x, w)
        every.append(x)
        weights.append(w)
    every, weights = np.concatenate(every), np.concatenate(weights)
    np.testing.assert_allclose(mean.result(), np.average(every, weights=weights), atol=1e-4)
    np.testing.assert_allclose(total.result(), (every * weights).sum(), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    arrays.arrays("float32", 6, elements=floats(0, 1)),
    arrays.arrays("bool", 6),
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=5),
)
def test_counts_are_counts(p, y, thresholds):
    above = p[None] > np.asarray(thresholds, "float32")[:, None]
    for cls, right, said in (
        (metrics.TruePositives, y, above),
        (metrics.FalsePositives, ~y, above),
        (metrics.TrueNegatives, ~y, ~above),
        (metrics.FalseNegatives, y, ~above),
    ):
        found = np.atleast_1d(cls(thresholds=thresholds)(y, p))
        assert found.tolist() == (right[None] & said).sum(1).tolist()
