"""Workers of a `PyDataset` and of torch: their order, their failures, their end."""

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
import torch

import stepfit as keras
from stepfit.training.data import make_source
from tests.expect import refused
from tests.training.data import worker_sets
from tests.training.data.worker_sets import X, Y

WAYS = {
    "one by one": {},
    "threads": {"workers": 3},
    "a process": {"workers": 1, "use_multiprocessing": True},
    "processes": {"workers": 2, "use_multiprocessing": True, "max_queue_size": 1},
}
PROCESSES = ("a process", "processes")


def children():
    found = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout.splitlines()
    return [line for line in found if "worker_main" in line]


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    left = [t.name for t in threading.enumerate()]
    assert not [name for name in left if name.startswith(("stepfit-read", "stepfit-worker"))]
    assert not children()


def starts(batches):
    return [x[0, 0].item() for x, _ in batches]


@pytest.mark.parametrize("way", WAYS)
def test_the_order_does_not_depend_on_the_workers(way):
    slow = worker_sets.Slow(**WAYS[way])
    with make_source(slow, shuffle=True, seed=4) as source:
        got = [starts(source.epoch(epoch)) for epoch in range(3)]
        assert source.peek()[0].shape[1] == 2
        seeks = starts(source.epoch(2, start=1))
    with make_source(worker_sets.Batches(), shuffle=True, seed=4) as plain:
        assert got == [starts(plain.epoch(epoch)) for epoch in range(3)]
    assert len({tuple(epoch) for epoch in got}) > 1 and seeks == got[2][1:]


@pytest.mark.parametrize("way", WAYS)
def test_what_the_dataset_changes_between_epochs_reaches_the_workers(way):
    epochs = []
    for kwargs in (WAYS[way], {}):
        with make_source(worker_sets.Reordered(**kwargs)) as source:
            epochs.append([[y.tolist() for _, y in source.epoch(e)] for e in range(3)])
    assert epochs[0] == epochs[1] and epochs[0][0] != epochs[0][1]


def test_random_numbers_in_processes_depend_on_seed_epoch_and_batch():
    runs = []
    for way, seed in (("a process", 5), ("processes", 5), ("processes", 6)):
        with make_source(worker_sets.Noisy(**WAYS[way]), seed=seed) as source:
            source.peek()  # made in this process, with other numbers
            runs.append([[x.sum().item() for x, _ in source.epoch(e)] for e in range(2)])
    assert runs[0] == runs[1] != runs[2]
    assert len({x for epoch in runs[0] for x in epoch}) == 6
    with make_source(worker_sets.Noisy(**WAYS["a process"]), seed=5) as one:
        one.keeps_states = True
        list(one.epoch(0)), next(one.epoch(1))
        state = one.state(1, 1)
    with make_source(worker_sets.Noisy(**WAYS["a process"])) as other:
        other.restore(state, 1, 1)  # warns if the data is seen to be other than before
        assert [x.sum().item() for x, _ in other.epoch(1, 1)] == runs[0][1][1:]


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_comes_in_its_place_with_its_batch_and_traceback(way):
    data = worker_sets.Batches(**WAYS[way], bad=1, how="raise")
    with make_source(data) as source:
        epoch = source.epoch(0)
        assert next(epoch)[0][0, 0] == 0
        with pytest.raises(OSError, match="disk gone") as caught:
            next(epoch)
        del epoch
    assert "batch 1 of x" in caught.value.__notes__[0]
    where = str(caught.value.__cause__) if way in PROCESSES else str(caught.traceback[-1])
    assert "worker_sets.py" in where and 'OSError("disk gone")' in where
    del caught
    gc.collect()


@pytest.mark.parametrize(
    "how, text", [("kill", "killed by SIGKILL"), ("exit", "ended with exit code 3")]
)
def test_a_dead_process_is_an_error_at_once(how, text):
    data = worker_sets.Batches(**WAYS["processes"], bad=1, how=how)
    with make_source(data) as source:
        epoch = source.epoch(0)
        next(epoch)
        begin = time.perf_counter()
        with pytest.raises(RuntimeError) as caught:
            next(epoch)
        assert time.perf_counter() - begin < 5
    found = str(caught.value)
    pid = found.split("found process ")[1].split()[0]
    assert found == (
        f"batch 1 of x: expected a batch from a worker process, found process {pid} {text}; if "
        "memory ran out, lower `workers` or `max_queue_size` of the PyDataset."
    )


def test_a_process_killed_while_it_waits_is_an_error():
    with make_source(worker_sets.Batches(**WAYS["a process"])) as source:
        list(source.epoch(0))
        os.kill(source._processes[0].pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="killed by SIGKILL"):
            list(source.epoch(1))


def test_a_worker_ends_with_the_process_that_trains():
    code = (
        "import os, sys\n"
        "from stepfit.training.data import make_source\n"
        "from tests.training.data.worker_sets import Batches\n"
        "source = make_source(Batches(use_multiprocessing=True))\n"
        "next(source.epoch(0))\n"
        "print(source._processes[0].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().split(") ")[1][0] == "Z":
                    break
        except (ProcessLookupError, FileNotFoundError):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the worker is still there")


def test_a_class_of_the_script_is_taken_to_the_processes():
    code = (
        "import numpy as np, stepfit as keras\n"
        "class Mine(keras.utils.PyDataset):\n"
        "    def __len__(self):\n"
        "        return 2\n"
        "    def __getitem__(self, i):\n"
        "        return np.ones((4, 2), 'float32'), np.full((4, 1), i)\n"
        "model = keras.Sequential([keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "data = Mine(workers=1, use_multiprocessing=True)\n"
        "print(len(model.predict(data, verbose=0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90)
    assert (done.stdout, done.stderr) == ("8\n", "")


def test_a_dataset_that_cannot_be_pickled():
    data = worker_sets.Unpicklable(use_multiprocessing=True)
    with make_source(data) as source:
        refused(
            lambda: next(source.epoch(0)), TypeError,
            "x.use_multiprocessing: expected a dataset that can be pickled, found one that cannot "
            "(TypeError); open files in __getitem__, or use threads (use_multiprocessing=False).",
        )  # fmt: skip


def test_without_cloudpickle(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with make_source(worker_sets.Batches(use_multiprocessing=True)) as source:
        assert starts(source.epoch(0)) == [0, 8, 16]
    kind = types.new_class("Mine", (worker_sets.Batches,))
    kind.__module__ = "__main__"
    with make_source(kind(use_multiprocessing=True)) as source:
        refused(
            lambda: next(source.epoch(0)), RuntimeError,
            "x.use_multiprocessing: expected cloudpickle, which takes a class of the script to "
            "another process, found none; pip install 'stepfit[workers]', or put the class into a "
            "module of its own.",
        )  # fmt: skip


# -- the dataset's own hooks -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def test_the_hooks_are_called_around_each_epoch(model):
    data, validation = worker_sets.Batches(), worker_sets.Batches()
    model.fit(data, epochs=2, verbose=0, validation_data=validation)
    assert data.calls == validation.calls == ["begin", "end"] * 2


def test_a_resume_calls_the_hooks_of_the_epochs_that_were(model):
    data = worker_sets.Reordered()
    with make_source(data) as source:
        source.peek()
        source.restore({"seed": 0, "first": None, "ended": 2}, 2, 1)
        list(source.epoch(2, 1))
    assert data.calls == ["begin", "end"] * 3


def test_other_data_than_before_an_interruption_is_noticed():
    def read(rng, state=None):
        data = worker_sets.Reordered()
        data.rng = np.random.default_rng(rng)
        with make_source(data) as source:
            source.keeps_states = True
            if state is not None:
                source.restore(state, 1, 2)
                return list(source.epoch(1, 2))
            list(source.epoch(0)), list(source.epoch(1))
            return source.state(1, 2)

    state = read(0)
    read(0, state)
    with pytest.warns(UserWarning) as record:
        read(1, state)
    assert [str(r.message) for r in record] == [
        "x, epoch 2: expected the batches of the run that was interrupted, found other numbers in "
        "the first one; training goes on, with other data than without the interruption; make the "
        "order and the augmentation depend on a seed and the epoch (`set_epoch(epoch)`, if the "
        "object has it)."
    ]


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, i):
        return np.full((4, 2), i, "float32"), Y[:4]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dataset_without_end_counts_on(workers):
    with make_source(Endless(workers=workers), steps=3) as source:
        assert [starts(source.epoch(e)) for e in range(2)] == [[0, 1, 2], [3, 4, 5]]
        assert starts(source.epoch(1, start=2)) == [5]
    with pytest.warns(UserWarning, match="x: expected data that ends, found a PyDataset without"):
        make_source(Endless())


def test_keras_own_datasets_work(model):
    import keras as peer

    class Theirs(peer.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return [X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]]

    with make_source(Theirs(workers=2), shuffle=True, seed=4) as source:
        with make_source(worker_sets.Batches(), shuffle=True, seed=4) as plain:
            assert starts(source.epoch(1)) == starts(plain.epoch(1))


def test_steps_beyond_the_dataset():
    with pytest.warns(UserWarning) as record:
        source = make_source(worker_sets.Batches(), steps=5)
    assert str(record[0].message) == (
        "steps_per_epoch: expected at most 3, the batches of x, found 5; epochs will have 3 steps."
    )
    assert source.num_batches == 3


# -- torch -----------------------------------------------------------------------------------------


def test_torch_workers(model):
    """One loader does everything, as its processes are slow to start."""
    loader = torch.utils.data.DataLoader(
        worker_sets.Samples(), batch_size=4, num_workers=1, multiprocessing_context="spawn"
    )
    handler = signal.getsignal(signal.SIGCHLD)
    with make_source(loader) as source:
        np.testing.assert_array_equal(np.concatenate([x for x, _ in source.epoch(0)]), X)
        assert signal.getsignal(signal.SIGCHLD) is handler  # torch's raises at any time
    bad = torch.utils.data.DataLoader(
        worker_sets.Samples(bad=9, how="kill"), batch_size=4, num_workers=1,
        multiprocessing_context="spawn",
    )  # fmt: skip
    weights = model.get_weights()
    begin = time.perf_counter()
    with pytest.raises(RuntimeError) as caught:
        model.fit(bad, verbose=0)
    assert time.perf_counter() - begin < 25
    found = re.sub(r"process \d+", "process N", str(caught.value))
    assert re.sub(r"^batch [12] of", "batch 2 of", found) == (  # what it had sent may be lost too
        "batch 2 of x: expected a batch from a worker process, found process N killed by SIGKILL; "
        "if memory ran out, lower num_workers or prefetch_factor of the DataLoader."
    )
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert any((a != b).any() for a, b in zip(weights, model.get_weights(), strict=True))
    assert not torch.multiprocessing.active_children()


def test_an_exception_in_a_torch_dataset():
    loader = torch.utils.data.DataLoader(worker_sets.Samples(bad=5), batch_size=4)
    with make_source(loader) as source, pytest.raises(OSError, match="disk gone") as caught:
        list(source.epoch(0))
    assert caught.value.__notes__ == ["Raised while batch 1 of x was read."]


def test_torch_samples_are_not_batches():
    data = torch.utils.data.TensorDataset(torch.tensor(X))
    refused(
        lambda: make_source(data), TypeError,
        "x: expected batches, found a torch Dataset, which holds single samples; pass "
        "torch.utils.data.DataLoader(dataset, batch_size=32).",
    )  # fmt: skip


def test_a_handler_that_torch_left_is_held_back():
    def handler(number, frame):
        raise RuntimeError("DataLoader worker is killed")

    handler.__module__ = "torch.utils.data._utils.signal_handling"
    loader = torch.utils.data.DataLoader(worker_sets.Samples(), batch_size=4, num_workers=1)
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        with make_source(loader) as source:
            source._mute_handler()
            assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)
