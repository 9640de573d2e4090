"""LearningRateFinder: rates, the suggestion, and a model that is as it was."""

import signal

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import LearningRateFinder

from .resuming import BreakOff, Crash, GoOn
from .small import X, Y, compiled, fit


def values(model):
    return [np.array(v) for part in model.get_state() for v in part]


def same(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def trained():
    """A model whose optimizer and metrics have something to lose."""
    model = compiled(keras.optimizers.Adam(0.01), metrics=["mae"])
    fit(model, [], 1)
    return model


def test_rates_grow_by_one_factor_and_the_model_is_as_before():
    model = trained()
    before = values(model)
    finder = LearningRateFinder(1e-4, 1e-1, steps=13)
    fit(model, [finder], 5)
    assert finder.rates == pytest.approx(np.geomspace(1e-4, 1e-1, 13)) == finder.rates
    assert len(finder.losses) == len(finder.smoothed) == 13
    assert same(before, values(model))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_losses_are_those_of_the_batches_at_these_rates():
    finder, other = LearningRateFinder(1e-3, 1e-1, steps=6), compiled()
    fit(compiled(), [finder], 1)
    for i, (rate, loss) in enumerate(zip(finder.rates, finder.losses, strict=True)):
        other.optimizer.learning_rate = rate
        batch = slice(4 * i, 4 * i + 4)
        assert other.train_on_batch(X[batch], Y[batch]) == pytest.approx(loss, rel=1e-5)


def test_it_stops_where_the_loss_diverges():
    model = trained()
    before = values(model)
    finder = LearningRateFinder(1e-3, 1e6, steps=100)
    fit(model, [finder], 100)
    assert 5 < len(finder.rates) < 100 and same(before, values(model))
    assert len(finder.rates) == len(finder.losses)


def quadratic(steepest):
    """Losses over rates that fall most steeply at one rate, then rise."""
    finder = LearningRateFinder(1e-5, 1.0, steps=101)
    finder.rates = list(np.geomspace(1e-5, 1.0, 101))
    logs = np.log10(finder.rates)
    finder.smoothed = list(1 - 1 / (1 + np.exp(-6 * (logs - steepest))) + np.exp(4 * (logs + 0.5)))
    return finder


@pytest.mark.parametrize("exponent", [-4, -3, -2])
def test_the_suggestion_is_where_the_loss_falls_most_steeply(exponent):
    assert np.log10(quadratic(exponent).suggestion) == pytest.approx(exponent, abs=0.06)


def test_noise_where_nothing_falls_does_not_count():
    finder = quadratic(-2)
    noise = np.random.default_rng(0).normal(size=101)
    finder.smoothed = list(finder.smoothed + 0.05 * noise)
    assert np.log10(finder.suggestion) == pytest.approx(-2, abs=0.3)


def test_find_and_plot(tmp_path):
    model = compiled()
    finder = LearningRateFinder(1e-4, 10.0, steps=40)
    calls = []
    seen = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: calls.append(1))
    rate = finder.find(model, X, Y, batch_size=8, callbacks=seen)
    assert rate == finder.suggestion and 1e-3 < rate < 1.0 and calls == [1]
    for ending in ("png", "svg"):
        finder.plot(tmp_path / f"rates.{ending}")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    assert "suggestion" in (tmp_path / "rates.svg").read_text()
    # The suggestion trains well.
    model.optimizer.learning_rate = rate
    losses = fit(model, [], 8).history["loss"]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("how", [KeyboardInterrupt, RuntimeError])
def test_the_model_is_as_before_after_an_interruption(how):
    def stop(epoch, logs):
        if how is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        else:
            raise how

    model = trained()
    before = values(model)
    stopper = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(how):
        fit(model, [LearningRateFinder(1e-3, 1e-2, steps=50), stopper], 9)
    assert same(before, values(model))


def test_a_resumed_test_ends_as_an_uninterrupted_one():
    def make():
        return LearningRateFinder(1e-4, 1e-1, steps=15)

    whole, crash, rest = make(), BreakOff(1, 2), make()
    fit(trained(), [whole], 5)
    with pytest.raises(Crash):
        fit(trained(), [make(), crash], 5)
    model = trained()
    before = values(model)
    fit(model, [rest, GoOn(crash.kept)], 5)
    assert (rest.rates, rest.losses, rest.smoothed) == (whole.rates, whole.losses, whole.smoothed)
    assert same(before, values(model))


def scheduled():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    return compiled(keras.optimizers.SGD(schedule))


BAD = [
    (lambda: LearningRateFinder(0.1, 0.01), ValueError,
     "LearningRateFinder: expected 0 < min_lr < max_lr, found min_lr=0.1, max_lr=0.01."),
    (lambda: LearningRateFinder(steps=1), ValueError,
     "LearningRateFinder(steps): expected at least 2, found 1."),
    (lambda: LearningRateFinder(smoothing=1.0), ValueError,
     "LearningRateFinder(smoothing): expected a number from 0 to below 1, found 1.0."),
    (lambda: LearningRateFinder(diverged=1), ValueError,
     "LearningRateFinder(diverged): expected a number above 1, found 1."),
    (lambda: fit(scheduled(), [LearningRateFinder()], 1), ValueError,
     "LearningRateFinder: expected an optimizer whose learning rate is a number, found one that "
     "follows a schedule; compile with a float learning_rate, or leave this callback out."),
    (lambda: LearningRateFinder().suggestion, RuntimeError,
     "LearningRateFinder: expected at least 10 steps, found 0; call find(model, x, y) first."),
    (lambda: LearningRateFinder(0.1, 1.0, steps=5).find(compiled(), X, Y), RuntimeError,
     "LearningRateFinder: expected at least 10 steps, found 5; begin with a smaller min_lr, or "
     "pass more steps and more epochs."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), BAD, ids=[row[2][:30] for row in BAD])
def test_message(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text
