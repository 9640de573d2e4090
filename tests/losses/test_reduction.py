"""The reduction against its definition in NumPy, for random shapes, weights and masks."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stepfit.losses.loss import reduce_weighted_values

numbers = st.floats(-4, 4, width=32).map(lambda x: round(x, 3))
positive = st.floats(0, 4, width=32).map(lambda x: round(x, 3))


@st.composite
def problems(draw):
    """Values of one or two axes, weights that fit them, and perhaps a mask."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=2, max_side=4))
    fitting = [(), shape[:1], *([shape, (shape[0], 1)] if len(shape) == 2 else [])]
    values = draw(arrays.arrays("float32", shape, elements=numbers))
    weights = draw(st.sampled_from([None, *fitting]))
    if weights is not None:
        weights = draw(arrays.arrays("float32", weights, elements=positive))
    mask = draw(st.none() | arrays.arrays(bool, shape))
    return values, weights, mask


def spread(weights, shape):
    """Weights for every value: those of leading axes are repeated along the further ones."""
    weights = np.asarray(weights, "float64")
    weights = weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
    return np.broadcast_to(weights, shape)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_means_are_over_what_the_mask_keeps(problem):
    values, weights, mask = problem
    every = spread(1.0 if weights is None else weights, values.shape)
    kept = np.ones(values.shape, bool) if mask is None else mask
    expected = (values * every)[kept].sum() / max(kept.sum(), 1)
    for reduction in ("mean", "sum_over_batch_size"):
        found = reduce_weighted_values(values, weights, mask, reduction)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_sum_and_none_leave_out_what_the_mask_drops(problem):
    values, weights, mask = problem
    every = spread(1.0 if weights is None else weights, values.shape)
    expected = values * every * (1.0 if mask is None else mask)
    found = reduce_weighted_values(values, weights, mask, "none")
    assert found.shape == values.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    total = reduce_weighted_values(values, weights, mask, "sum")
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-4, atol=1e-4)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_mean_with_sample_weight_is_the_weighted_mean(problem):
    values, weights, mask = problem
    if weights is None or weights.shape != values.shape:
        weights = np.ones(values.shape, "float32")
    every = weights * (1.0 if mask is None else mask)
    expected = 0.0 if every.sum() == 0 else (values * every).sum() / every.sum()
    found = reduce_weighted_values(values, weights, mask, "mean_with_sample_weight")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_one_weight_per_sample_weights_the_sample_on_square_values_too():
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = reduce_weighted_values(values, [1.0, 0.0], None, "none")
    assert found.tolist() == [[1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("weights", [None, 2.0])
def test_a_number_stays_one_number_under_any_mask(weights):
    for reduction in ("mean", "sum", "none"):
        found = reduce_weighted_values(3.0, weights, np.array([True, False]), reduction)
        assert float(found) == 3.0 * (weights or 1.0)


def test_nothing_kept_gives_zero():
    assert float(reduce_weighted_values(np.ones((2, 3)), None, np.zeros((2, 3), bool))) == 0.0
