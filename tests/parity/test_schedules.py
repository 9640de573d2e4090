"""Learning rate schedules against real Keras."""

import inspect

import jax
import keras as oracle
import numpy as np
import pytest

from stepfit.optimizers import schedules
from tests.parity.properties import round_trip, without_row

ROWS = [
    ("ExponentialDecay", (0.5, 10, 0.7), {}),
    ("ExponentialDecay", (0.5, 10, 0.7), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10, 20], [1.0, 0.5, 0.1, 0.7]), {}),
    ("PolynomialDecay", (0.5, 10), {}),
    ("PolynomialDecay", (0.5, 10), {"end_learning_rate": 0.1, "power": 2.0}),
    ("PolynomialDecay", (0.5, 7), {"cycle": True}),
    ("InverseTimeDecay", (0.5, 10, 0.7), {}),
    ("InverseTimeDecay", (0.5, 10, 0.7), {"staircase": True}),
    ("CosineDecay", (0.5, 20), {"alpha": 0.1}),
    ("CosineDecay", (0.0, 20), {"warmup_target": 0.5, "warmup_steps": 6, "alpha": 0.2}),
    ("CosineDecayRestarts", (0.5, 6), {}),
    ("CosineDecayRestarts", (0.5, 5), {"t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.5, 5), {"t_mul": 1.5, "m_mul": 0.8}),
]


@pytest.mark.parametrize("name, args, kwargs", ROWS, ids=lambda x: x if isinstance(x, str) else "")
def test_equals_keras(name, args, kwargs):
    ours = getattr(schedules, name)(*args, **kwargs)
    theirs = getattr(oracle.optimizers.schedules, name)(*args, **kwargs)
    steps = np.array([0, 1, 3, 5, 6, 7, 10, 20, 21, 35], "int32")
    compiled = jax.jit(jax.vmap(ours))
    compiled(steps + 1)
    values = compiled(steps)
    assert compiled._cache_size() == 1
    assert values.dtype == "float32" and values.shape == steps.shape
    expected = [float(theirs(int(s))) for s in steps]
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(float(ours(7)), expected[5], rtol=2e-5)
    assert ours.get_config() == theirs.get_config()
    for again in (
        type(ours).from_config(ours.get_config()),
        schedules.deserialize(schedules.serialize(ours)),
        schedules.deserialize(oracle.optimizers.schedules.serialize(theirs)),
    ):
        assert type(again) is type(ours) and again.get_config() == ours.get_config()
    round_trip(schedules, ours)
    assert inspect.signature(type(ours)) == inspect.signature(type(theirs))


def test_every_schedule_has_a_row():
    left = without_row(schedules, [getattr(schedules, name) for name, *_ in ROWS])
    assert left == {"LearningRateSchedule", "deserialize", "serialize"}


def test_restarts_and_stairs_fall_on_the_exact_step():
    # Computed with rounded logarithms or reciprocals, some of these would come a step late.
    restarts = schedules.CosineDecayRestarts(1.0, 7)
    begins = np.array([7 * (2**i - 1) for i in range(12)], "int32")
    every = jax.jit(jax.vmap(restarts))
    np.testing.assert_allclose(every(begins), 1.0, atol=1e-5)
    assert (every(begins[1:] - 1) < 0.06).all()
    stairs = jax.jit(jax.vmap(schedules.ExponentialDecay(1.0, 7, 0.5, staircase=True)))
    np.testing.assert_array_equal(stairs(np.arange(70)), 0.5 ** (np.arange(70) // 7))


def test_an_integer_initial_rate_is_a_float():
    # In Keras the whole schedule then computes in integers and stays at 0.
    rate = schedules.CosineDecay(0, 10, warmup_target=1, warmup_steps=4)
    assert float(rate(2)) == 0.5


ERRORS = [
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5),
     "ExponentialDecay decay_steps: expected a positive number, found 0."),
    (lambda: schedules.CosineDecayRestarts(0.1, -1),
     "CosineDecayRestarts first_decay_steps: expected a positive number, found -1."),
    (lambda: schedules.PiecewiseConstantDecay([1], [0.1]),
     "PiecewiseConstantDecay values: expected 2 floats, one more than boundaries, found 1."),
    (lambda: schedules.PiecewiseConstantDecay([5, 1], [0.1, 0.2, 0.3]),
     "PiecewiseConstantDecay boundaries: expected increasing numbers, found others."),
    (lambda: schedules.LearningRateSchedule()(0),
     "LearningRateSchedule: expected a method __call__(self, step) that returns the learning "
     "rate, found none; define it."),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(act, text):
    with pytest.raises((ValueError, NotImplementedError)) as error:
        act()
    assert str(error.value) == text
