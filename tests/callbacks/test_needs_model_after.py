"""Callbacks that name the steps after which they need the model; the others stay fused."""

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks.batch_hooks import BatchHooks

X = np.random.default_rng(0).random((200, 3)).astype("float32")  # 50 batches of 4
Y = X.sum(axis=1, keepdims=True)


def fitted(callbacks, steps="auto", data=(X, Y), epochs=2, **compiled):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.2), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse", steps_per_execution=steps, **compiled)
    size = {"batch_size": 4} if len(data) == 2 else {}
    model.fit(*data, epochs=epochs, verbose=0, callbacks=callbacks, **size)
    return model


class Batches:
    def __iter__(self):
        for start in range(0, 200, 4):
            yield X[start : start + 4], Y[start : start + 4]


class EveryBatch(keras.callbacks.Callback):
    """Notes all weights, step by step."""

    def __init__(self):
        super().__init__()
        self.seen: dict = {}
        self.logs: dict = {}
        self.epoch = -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.seen[self.epoch, batch] = self.model.get_weights()
        self.logs[self.epoch, batch] = logs


class Every(EveryBatch):
    """Notes the weights after every so many steps of an epoch."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def needs_model_after(self, batch):
        return batch // self.number * self.number + self.number - 1


class Once(EveryBatch):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def needs_model_after(self, batch):
        return self.step if batch <= self.step else None


def assert_same(found, expected):
    for key, weights in found.seen.items():
        for a, b in zip(weights, expected.seen[key], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(key))
        assert found.logs[key] == expected.logs[key]


@pytest.mark.parametrize("data", [(X, Y), (Batches(),)], ids=["arrays", "iterable"])
@pytest.mark.parametrize("steps", ["auto", 8, 1])
def test_each_sees_the_weights_after_its_own_steps_and_no_others(steps, data):
    expected = EveryBatch()
    fitted([expected], 1, data)
    seventh, twentieth, once = Every(7), Every(20), Once(33)
    model = fitted([seventh, twentieth, once], steps, data)
    epochs = range(2)
    assert [*seventh.seen] == [(e, b) for e in epochs for b in range(6, 50, 7)]
    assert [*twentieth.seen] == [(e, b) for e in epochs for b in (19, 39)]
    assert [*once.seen] == [(e, 33) for e in epochs]
    for callback in (seventh, twentieth, once):
        assert_same(callback, expected)
    assert model.execution_report()["train"].one_by_one == (
        "steps_per_execution=1" if steps == 1 else None
    )


def test_steps_between_stay_fused():
    model = fitted([Every(25)], 25)  # 25 in one dispatch, wherever a chunk can have as many
    assert model._runner("train").dispatched == {25: 2}
    model = fitted([Every(10)], 25)
    assert model._runner("train").dispatched == {10: 5}
    model = fitted([Once(29)], 50)
    assert model._runner("train").dispatched == {30: 1, 20: 1}


def test_eager_steps_tell_the_same_steps():
    seventh = Every(7)
    fitted([seventh], run_eagerly=True, epochs=1)
    assert [*seventh.seen] == [(0, b) for b in range(6, 50, 7)]


def test_nothing_is_under_way_when_one_looks():
    class Counts(keras.callbacks.Callback):
        def needs_model_after(self, batch):
            asked.append(batch)
            return 40 if batch <= 40 else None

        def on_train_batch_end(self, batch, logs=None):
            updates.append((batch, int(self.model.optimizer.iterations)))

    asked: list = []
    updates: list = []
    fitted([Counts()], 5, epochs=2)
    assert updates == [(40, 41), (40, 91)]
    assert asked[:3] == [0, 5, 10]  # anew for each chunk


def test_an_answer_may_depend_on_the_time():
    class Now(EveryBatch):
        def needs_model_after(self, batch):
            return batch if batch == 15 else None  # due just now

    now, expected = Now(), EveryBatch()
    fitted([now], 5)
    fitted([expected], 1)
    assert [*now.seen] == [(0, 15), (1, 15)]
    assert_same(now, expected)


class Mixed(Every):
    """Hears of every step, and sees the model after some."""

    fused_safe = True

    def on_train_batch_end(self, batch, logs=None):
        self.logs[self.epoch, batch] = logs
        if batch in (9, 19, 29, 39, 49):
            self.seen[self.epoch, batch] = self.model.get_weights()


def test_a_fused_safe_one_hears_of_every_step():
    mixed, expected = Mixed(10), EveryBatch()
    fitted([mixed], "auto")
    fitted([expected], 1)
    assert mixed.logs == expected.logs and len(mixed.seen) == 10
    for key, weights in mixed.seen.items():
        for a, b in zip(weights, expected.seen[key], strict=True):
            np.testing.assert_array_equal(a, b)


class Stops(keras.callbacks.Callback):
    fused_safe = True

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 12


def test_none_looks_after_a_step_that_comes_after_the_end():
    every = Every(10)
    fitted([every, Stops()], 10, epochs=1)
    assert [*every.seen] == [(0, 9)]


class AddsAHook(Every):
    """Its base does not know of this hook, so it is called for each step."""

    def on_batch_end(self, batch, logs=None):
        pass


class SaysWhen(AddsAHook):
    def needs_model_after(self, batch):
        return None


@pytest.mark.parametrize(
    ("callback", "strict"),
    [(EveryBatch(), True), (Every(3), False), (AddsAHook(3), True), (SaysWhen(3), False),
     (Mixed(3), False)],
)  # fmt: skip
def test_who_makes_steps_run_one_by_one(callback, strict):
    assert BatchHooks("train", [(callback, False, True)]).strict is (callback if strict else None)
    kept = callback if not callback.fused_safe else None  # evaluation has no steps to choose from
    assert BatchHooks("test", [(callback, False, True)]).strict is kept


def test_an_answer_that_is_no_step_is_an_error():
    class Says(keras.callbacks.Callback):
        def needs_model_after(self, batch):
            return "epoch"

        def on_train_batch_end(self, batch, logs=None):
            pass

    text = r"Says.needs_model_after\(\): expected the number of a step, or None, found 'epoch'"
    with pytest.raises(TypeError, match=text):
        fitted([Says()])


def test_a_strict_one_and_a_choosy_one_meet():
    every, choosy = EveryBatch(), Every(7)
    fitted([every, choosy])
    assert len(every.seen) == 100 and len(choosy.seen) == 14
    assert_same(choosy, every)
