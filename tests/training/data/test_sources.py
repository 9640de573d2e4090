"""Every source has every property: the same batches, seeks, resumes, ends cleanly."""

import gc
import json
import threading

import jax
import numpy as np
import pytest

import stepfit as keras
from stepfit.training.data import make_source
from tests.training.data.source_rows import SOURCES
from tests.training.data.worker_sets import X, Y

STEPS = {"all": None, "given": 2}


def source_of(kind, shuffled=False, **kwargs):
    arguments = {**SOURCES[kind].data(shuffled), **kwargs}
    return make_source(arguments.pop("x"), arguments.pop("y"), **{"seed": 4, **arguments})


def same(got, expected):
    assert len(got) == len(expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.fixture(autouse=True)
def nothing_left():
    before = set(threading.enumerate())
    yield
    left = [t.name for t in set(threading.enumerate()) - before]
    assert not [name for name in left if name.startswith(("stepfit-read", "stepfit-worker"))]
    theirs = lambda: [t for t in set(threading.enumerate()) - before if "grain" in t.name]
    if theirs():
        gc.collect()
        for thread in theirs():
            thread.join(5)
        assert not theirs()


@pytest.mark.parametrize("kind", SOURCES)
def test_batches_are_those_of_arrays(kind):
    expected = list(make_source(X, Y, batch_size=4).epoch(0))
    with source_of(kind) as source:
        for _ in range(2):
            same([source.peek()], expected[:1])
        same(list(source.epoch(0)), expected)
        same(list(source.epoch(1)), expected)
        assert source.num_batches == 3


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_start_is_a_seek(kind, shuffled):
    with source_of(kind, shuffled) as source:
        expected = [list(source.epoch(epoch))[epoch:] for epoch in range(4)]
    with source_of(kind, shuffled) as source:
        same([list(source.epoch(epoch, start=epoch)) for epoch in range(4)], expected)


@pytest.mark.parametrize("kind", [k for k in SOURCES if k not in ("generator", "iterable")])
def test_it_is_shuffled_anew_for_each_epoch(kind):
    with source_of(kind, shuffled=True) as source:
        one, two = ([y.tolist() for _, y in source.epoch(epoch)] for epoch in range(2))
    again = kind in ("grain IterDataset", "grain DataLoader")  # these repeat what they did
    assert (one == two) is again and sorted(sum(one, [])) == sorted(Y.tolist())


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("kind", SOURCES)
def test_a_new_source_goes_on_where_another_was(kind, steps):
    more = {} if STEPS[steps] is None else {"steps": STEPS[steps]}
    with source_of(kind, True, **more) as one:
        one.keeps_states = True
        epochs, places = [], {}
        for epoch in range(4):
            places[epoch, 0] = one.state(epoch, 0)
            epochs.append(list(one.epoch(epoch)))  # reads ahead of the places asked for
            places |= {(epoch, s): one.state(epoch, s) for s in range(1, len(epochs[-1]))}
    places = {place: places[place] for place in [(0, 0), (0, 1), (1, 0), (2, 1), (3, 0), (3, 1)]}
    for number, ((epoch, step), state) in enumerate(places.items()):
        with source_of(kind, True, **more) as other:
            if number % 2 == 0:  # as `fit` does
                other.peek()
            other.restore(json.loads(json.dumps(state)), epoch, step)
            same(list(other.epoch(epoch, step)), epochs[epoch][step:])
            for later in range(epoch + 1, 4):
                same(list(other.epoch(later)), epochs[later])


@pytest.mark.parametrize("kind", SOURCES)
def test_class_weight(kind):
    with source_of(kind, class_weight={0: 1.0, 1: 2.0, 2: 3.0}) as source:
        got = np.concatenate([w for _, _, w in source.epoch(0)])
    np.testing.assert_array_equal(got, Y + 1)


@pytest.fixture(scope="module")
def trained():
    """Return a function from the arguments of `fit` to the weights after it."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.5), "sparse_categorical_crossentropy")
    start = [np.full((2, 3), 0.1, "float32"), np.arange(3, dtype="float32")]

    def run(**arguments):
        if "steps" in arguments:
            arguments["steps_per_epoch"] = arguments.pop("steps")
        model.set_weights(start)
        for variable in model.optimizer.variables:
            variable.assign(variable.value * 0)
        model.fit(**{"epochs": 2, "verbose": 0, "shuffle": False, **arguments})
        return model.get_weights()

    run.model = model
    return run


@pytest.mark.parametrize("kind", SOURCES)
def test_fit_gives_the_weights_that_arrays_give(kind, trained):
    same(trained(**SOURCES[kind].data(), shuffle=False) if not SOURCES[kind].shuffled_by_us
         else trained(**SOURCES[kind].data()), trained(x=X, y=Y, batch_size=4))  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in SOURCES if not SOURCES[k].one_shot])
def test_evaluate_and_predict(kind, trained):
    arguments = SOURCES[kind].data()
    arguments.pop("shuffle", None)
    model = trained.model
    expected = model.evaluate(X, Y, batch_size=4, verbose=0)
    assert model.evaluate(**arguments, verbose=0) == pytest.approx(expected, rel=1e-6)


class Stops(keras.callbacks.Callback):
    """Raises after some batches."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise OSError("disk gone")


RESUMED = [
    "numpy", "generator", "PyDataset, threads", "tf.data", "torch", "grain IterDataset",
    *(pytest.param(kind, marks=pytest.mark.slow)
      for kind in ("scipy csr", "iterable", "grain iterator", "datasets", "datasets, stream")),
]  # fmt: skip


@pytest.mark.parametrize("kind", RESUMED)
def test_fit_goes_on_where_it_was_interrupted(kind, tmp_path):
    def train(*callbacks):
        keras.utils.set_random_seed(7)
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(3, activation="softmax", use_bias=False)]
        )
        model.compile(keras.optimizers.SGD(0.01, momentum=0.5), "sparse_categorical_crossentropy")
        arguments = SOURCES[kind].data(shuffled=True)
        arguments["steps_per_epoch"] = arguments.pop("steps", None)
        history = model.fit(**arguments, epochs=3, verbose=0, callbacks=list(callbacks))
        return history.history, model.get_weights()

    expected = train()
    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)
    with pytest.raises(OSError, match="disk gone"):
        train(backup(), Stops(after=5))  # batch 2 of epoch 1; saved after its first one
    same(train(backup()), expected)
