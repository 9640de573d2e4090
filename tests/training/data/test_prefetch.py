"""Reading ahead in a thread: where, how far, and how it ends."""

import os
import signal
import threading
import time
import types

import numpy as np
import pytest

import stepfit as keras
from stepfit.training.data import make_source, prefetch
from stepfit.training.data.prefetch import AHEAD, Pace, Prefetch
from tests.expect import refused
from tests.training.data.worker_sets import X, Y


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("stepfit-read")]


@pytest.fixture(autouse=True)
def nothing_left():
    assert not readers()
    yield
    assert not readers()


class Slow(Pace):
    slow = property(lambda self: True, lambda self, value: None)


class Quick(Pace):
    slow = property(lambda self: False, lambda self, value: None)


@pytest.fixture
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def batches(count=10**6, seconds=0.0, fails=None, made=None):
    for i in range(count):
        if i == fails:
            raise OSError("disk gone")
        time.sleep(seconds)
        if made is not None:
            made.append(i)
        yield X[:4], Y[:4]


@pytest.mark.parametrize("pace", [Slow, Quick])
def test_the_items_come_in_order_and_end(pace):
    assert list(Prefetch(iter(range(100)), pace())) == list(range(100))


@pytest.mark.parametrize("pace", [Slow, Quick])
def test_an_exception_comes_where_the_item_would_have(pace):
    def items():
        yield 0
        yield 1
        raise KeyError("gone")

    got = iter(Prefetch(items(), pace()))
    assert (next(got), next(got)) == (0, 1)
    with pytest.raises(KeyError, match="gone") as caught:
        next(got)
    assert caught.traceback[-1].name == "items"


def test_it_reads_so_far_ahead_and_stops_when_closed():
    made = []
    got = Prefetch(batches(made=made), Slow())
    items = iter(got)
    next(items)
    time.sleep(0.1)
    assert len(made) == AHEAD + 1 and len(readers()) == 1
    got.close()
    assert list(items) == []


def test_only_what_is_slow_is_read_in_a_thread(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(prefetch, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))

    def timed(seconds):
        for batch in batches(20):
            now[0] += seconds
            yield batch

    seen = {}
    for seconds in (0, prefetch.SLOW / 2, prefetch.SLOW * 2):
        source = make_source(timed(seconds))
        for _ in source.epoch(0):
            seen[seconds] = seen.get(seconds, False) or bool(readers())
        source.close()
    assert list(seen.values()) == [False, False, True]


def test_threads_can_be_switched_off():
    here = threading.current_thread()
    keras.config.set_read_ahead(False)
    try:
        for _ in make_source(batches(10, 0.003)).epoch(0):
            assert not readers() and threading.current_thread() is here
    finally:
        keras.config.set_read_ahead(True)
    assert keras.config.read_ahead() is True
    refused(
        lambda: keras.config.set_read_ahead(0), TypeError,
        "set_read_ahead(on): expected True or False, found 0.",
    )  # fmt: skip


def test_a_source_that_became_quick_is_read_without_one():
    pace = Pace()
    for _ in range(5):
        pace.note(0.1)
    assert pace.slow
    for _ in range(50):
        pace.note(0)
    assert not pace.slow


def test_the_thread_sees_the_context_of_the_one_that_reads():
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)
    variable.set(3)
    assert list(Prefetch((variable.get() for _ in range(2)), Slow())) == [3, 3]


def test_an_epoch_reads_no_batch_of_the_next_one():
    made = []
    source = make_source(batches(made=made, seconds=0.005), steps=7)
    for epoch in range(3):
        assert len(list(source.epoch(epoch))) == 7
        time.sleep(0.02)
        assert len(made) == 7 * (epoch + 1)


def test_a_read_that_does_not_end_is_left_behind(monkeypatch):
    monkeypatch.setattr(prefetch, "PATIENCE", 0.05)
    go = threading.Event()

    def items():
        yield 0
        go.wait(10)
        yield 1

    got = Prefetch(items(), Slow())
    next(iter(got))
    with pytest.warns(RuntimeWarning) as record:
        got.close()
    assert str(record[0].message) == (
        "x: expected a batch, or an end, within 0.05 seconds, found a read that is still under "
        "way; the thread that waits for it is left behind."
    )
    go.set()
    for thread in readers():
        thread.join(5)


class Seconds(keras.callbacks.Callback):
    """Takes its time after each batch."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(self.seconds)


def test_reading_and_training_overlap(model):
    """Twenty batches at 20 ms, twenty steps at 20 ms: half the time of one after the other."""
    model.fit(batches(2), verbose=0)
    begin = time.perf_counter()
    model.fit(batches(20, 0.02), verbose=0, callbacks=[Seconds(0.02)])
    assert time.perf_counter() - begin < 0.65  # 0.8 one after the other


@pytest.mark.parametrize("how", ["ends", "fails", "stops", "Ctrl-C", "callback fails"])
def test_fit_leaves_no_thread_behind(how, model):
    class Acts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 8:
                self.model.stop_training = how == "stops"
                if how == "Ctrl-C":
                    os.kill(os.getpid(), signal.SIGINT)
                if how == "callback fails":
                    raise OSError("disk gone")

    data = batches(30, 0.003, fails=20 if how == "fails" else None)
    expected = {
        "ends": None, "stops": None, "Ctrl-C": KeyboardInterrupt, "fails": OSError,
        "callback fails": OSError,
    }[how]  # fmt: skip
    if expected is None:
        model.fit(data, verbose=0, callbacks=[Acts()])
        return
    with pytest.raises(expected) as caught:
        model.fit(data, verbose=0, callbacks=[Acts()])
    assert not readers() and caught.value is not None  # while the traceback is still held
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_evaluate_and_predict_leave_none_either(model):
    model.evaluate(batches(5, 0.003), verbose=0)
    assert model.predict(batches(5, 0.003), verbose=0).shape == (20, 3)
    with pytest.raises(OSError, match="disk gone"):
        model.evaluate(batches(9, 0.003, fails=7), verbose=0)
