"""Batches from generators, iterables, `tf.data` datasets and torch loaders."""

import os
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stepfit.training.data import generators, make_source
from stepfit.training.data.order import permutation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10, dtype="int32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], "int32")


def generate(times=1, size=4, y=Y):
    for _ in range(times):
        for i in range(0, len(X), size):
            yield X[i : i + size], y[i : i + size]


class Again:
    """An iterable that can be read again."""

    def __iter__(self):
        return generate()


class Numbered:
    """Batches by number."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return torch.tensor(X[i]), int(Y[i])


def tf_dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)


def torch_loader(**kwargs):
    return torch.utils.data.DataLoader(Pairs(), batch_size=4, **kwargs)


KINDS = {
    # make, batches known before, batch size known, samples known
    "generator": (generate, None, None, None),
    "iterable": (Again, None, None, None),
    "numbered": (Numbered, 3, None, None),
    "tf.data": (tf_dataset, 3, None, None),
    "tf.data, drop_remainder": (
        lambda: tf.data.Dataset.from_tensor_slices((X[:8], Y[:8])).batch(4, drop_remainder=True),
        2, 4, None,
    ),
    "torch": (torch_loader, 3, 4, 10),
}  # fmt: skip
READ_AGAIN = [k for k in KINDS if k != "generator"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_epoch(kind):
    make, count, batch_size, samples = KINDS[kind]
    source = make_source(make())
    assert (source.num_batches, source.batch_size, source.num_samples) == (
        count, batch_size, samples,
    )  # fmt: skip
    first = source.peek()
    np.testing.assert_array_equal(source.peek()[0], first[0])
    got = list(source.epoch(0))
    np.testing.assert_array_equal(got[0][0], first[0])
    for batch in got:
        assert isinstance(batch, tuple) and len(batch) == 2
        assert all(isinstance(leaf, np.ndarray) for leaf in batch)
        assert [leaf.dtype.name for leaf in batch] == ["float32", "int32"]
    rows = len(got[-1][0]) + 4 * (len(got) - 1)
    np.testing.assert_array_equal(np.concatenate([b[0] for b in got]), X[:rows])
    np.testing.assert_array_equal(np.concatenate([b[1] for b in got]), Y[:rows])
    assert source.num_batches == len(got)


@pytest.mark.parametrize("kind", READ_AGAIN)
def test_every_epoch_reads_anew(kind):
    source = make_source(KINDS[kind][0]())
    one, two = (list(source.epoch(e)) for e in range(2))
    assert len(one) == len(two) > 0
    jax.tree.map(np.testing.assert_array_equal, one, two)
    next(source.epoch(2))  # an epoch that is left in the middle
    jax.tree.map(np.testing.assert_array_equal, list(source.epoch(3)), one)


@pytest.mark.parametrize("kind", READ_AGAIN)
def test_epochs_of_given_steps_go_on(kind):
    source = make_source(KINDS[kind][0](), steps=2)
    assert source.num_batches == 2
    starts = [[int(b[1][0]) for b in source.epoch(e)] for e in range(3)]
    expected = [[0, 4], [8, 0], [4, 8]] if "drop" not in kind else [[0, 4], [0, 4], [0, 4]]
    assert starts == expected
    assert [int(b[1][0]) for b in source.epoch(0)] == [0, 4]


def test_a_generator_serves_several_epochs_with_steps():
    source = make_source(generate(times=2), steps=3)
    assert [len(list(source.epoch(e))) for e in range(2)] == [3, 3]
    with pytest.raises(RuntimeError) as error:
        list(source.epoch(2))
    assert str(error.value) == (
        "x: expected data for epoch 3, found a generator that ended after 6 batches in an earlier "
        "epoch; pass an object that can be read again (a tf.data.Dataset, a DataLoader, a class "
        "with __iter__), or an endless generator together with steps_per_epoch."
    )


def test_a_generator_used_up_is_an_error_in_epoch_2():
    source = make_source(generate())
    source.peek()
    assert len(list(source.epoch(0))) == 3
    with pytest.raises(RuntimeError, match="expected data for epoch 2, found a generator that"):
        list(source.epoch(1))


def test_a_short_generator_warns():
    source = make_source(generate(), steps=5)
    with pytest.warns(UserWarning) as record:
        assert len(list(source.epoch(0))) == 3
    assert str(record[0].message) == (
        "x, epoch 1: expected 5 batches (steps_per_epoch=5), found 3, then the end; lower "
        "steps_per_epoch, or let a generator yield more."
    )


def test_a_short_dataset_warns_in_every_epoch():
    source = make_source(tf_dataset(), steps=5, argument="validation_data",
                         steps_argument="validation_steps")  # fmt: skip
    for epoch in range(2):
        with pytest.warns(UserWarning, match=r"validation_data, epoch \d: expected 5 batches"):
            assert len(list(source.epoch(epoch))) == 3


def test_start_skips_batches():
    for kind in KINDS:
        source = make_source(KINDS[kind][0]())
        assert int(next(source.epoch(0, start=1))[1][0]) == 4


def test_endless_generator_warns_once(monkeypatch):
    monkeypatch.setattr(generators, "ENDLESS_AFTER", 10)

    def endless():
        for _ in iter(int, 1):  # without an end, which `while True` would show
            yield X, Y

    epoch = make_source(endless()).epoch(0)
    with pytest.warns(UserWarning) as record:
        for _ in range(30):
            next(epoch)
    assert [str(r.message) for r in record] == [
        "x: expected a generator that ends, found 10 batches and no end; pass "
        "steps_per_epoch=... if it never ends."
    ]


def test_repeated_dataset_warns_at_once():
    with pytest.warns(UserWarning) as record:
        make_source(tf_dataset().repeat())
    assert str(record[0].message) == (
        "x: expected a dataset that ends, found one that repeats for ever; pass steps_per_epoch, "
        "or drop .repeat()."
    )
    assert make_source(tf_dataset().repeat(), steps=7).num_batches == 7


def test_numbered_batches_are_shuffled_by_seed_and_epoch():
    source = make_source(Numbered(), shuffle=True, seed=5)
    for epoch in range(3):
        starts = [int(b[1][0]) // 4 for b in source.epoch(epoch)]
        assert starts == permutation(3, 5, epoch).tolist()


def test_forms_pass_as_yielded():
    four = (X, Y, Y, Y)
    assert len(make_source(iter([four])).peek()) == 4
    lists = make_source(iter([([[1.0], [2.0]], [0, 1])])).peek()
    assert [leaf.shape for leaf in lists] == [(2, 1), (2,)]
    assert set(make_source(iter([{"a": X}])).peek()) == {"a"}
    assert make_source(iter([X])).peek().shape == (10, 2)
    assert isinstance(make_source(iter([(jnp.ones((2, 1)),)])).peek()[0], jax.Array)
    x, y, w = make_source(iter([(X.astype("float64"), [0] * 10, None)])).peek()
    assert (x.dtype, y.dtype, w) == (np.float32, np.int32, None)
    half = make_source(iter([(X.astype("float16"), Y)])).peek()
    assert half[0].dtype == np.float16


def test_nested_structures_of_datasets():
    tree = ({"a": X, "b": (X, X)}, {"u": Y})
    x, y = make_source(tf.data.Dataset.from_tensor_slices(tree).batch(3)).peek()
    assert x["b"][1].shape == (3, 2) and y["u"].shape == (3,)


def test_torch_tensors_in_a_generator():
    x, y = make_source(iter([(torch.ones(2, 1, requires_grad=True), torch.ones(2))])).peek()
    assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray)


@pytest.mark.parametrize("kind", ["generator", "iterable", "tf.data", "torch"])
def test_class_weight(kind):
    make = {
        "generator": lambda: generate(y=LABELS),
        "iterable": lambda: iter(list(generate(y=LABELS))),
        "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(4),
        "torch": lambda: torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(LABELS)), batch_size=4
        ),
    }[kind]
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    got = np.concatenate([w for _, _, w in make_source(make(), class_weight=weights).epoch(0)])
    np.testing.assert_array_equal(got, LABELS + 1)


def test_class_weight_times_sample_weight():
    one_hot = np.eye(3)[LABELS]
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    for y in (LABELS, LABELS[:, None], LABELS.astype("float32"), one_hot, one_hot.astype("int32")):
        for shape in ((10,), (10, 1)):
            own = np.full(shape, 0.5)
            array = make_source(X, y, own, class_weight=weights).peek()[2]
            np.testing.assert_array_equal(array.reshape(-1), (LABELS + 1) / 2)
            assert array.shape == shape and array.dtype == np.float32
    batch = make_source(iter([(X, LABELS, np.full(10, 0.5))]), class_weight=weights).peek()
    np.testing.assert_array_equal(batch[2], (LABELS + 1) / 2)


def test_class_weight_of_single_weights_is_that_of_keras():
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    weights = {0: 1.5, 1: 2.0, 2: 0.25}
    for y in (LABELS, LABELS[:, None], np.eye(3, dtype="float32")[LABELS]):
        theirs = next(ArrayDataAdapter(X, y, class_weight=weights).get_numpy_iterator())[2]
        np.testing.assert_array_equal(make_source(X, y, class_weight=weights).peek()[2], theirs)


def test_class_weight_per_position():
    y = np.array([[[0], [1]], [[1], [1]]])
    w = make_source(X[:2], y, class_weight={0: 1.0, 1: 2.0}).peek()[2]
    np.testing.assert_array_equal(w, [[1, 2], [2, 2]])


FORM = "x, (x,), (x, y) or (x, y, sample_weight)"
BAD = [
    # data, keywords, class, message
    (lambda: iter([]), {}, ValueError,
     "x: expected a generator with at least one batch, found none; check the files or the filter "
     "it reads from."),
    (lambda: iter([None]), {}, ValueError,
     f"batch 0 of x: expected {FORM}, found None; yield arrays."),
    (lambda: iter([[X, Y]]), {}, TypeError,
     f"batch 0 of x: expected {FORM}, found list of 2 elements; yield a tuple: `yield x, y`, or "
     "`yield ([a, b],)` for two inputs."),
    (lambda: iter([(X, Y), (X,)]), {}, ValueError,
     "batch 1 of x: expected one structure in all batches, found another one than in the first "
     "batch: tuple of 1 elements; yield the same tuples and dict keys every time."),
    (lambda: iter([(X, 1)]), {}, ValueError,
     "batch 0 of x, y: expected a batch (first axis: samples), found one number; make batches "
     "first, for example with .batch(32)."),
    (lambda: iter([(X[:0], Y[:0])]), {}, ValueError,
     "batch 0 of x, x: expected at least one sample, found float32[0,2]."),
    (lambda: iter([(["a"], Y)]), {}, TypeError,
     "batch 0 of x, x: expected an array of numbers, found strings (<U1); map them to integers "
     "first, with a StringLookup or TextVectorization layer: layer(x) for arrays, "
     "dataset.map(lambda x, y: (layer(x), y)) in a data pipeline; a model that has such a layer "
     "takes strings in a call, model(x)."),
    (generate, {"batch_size": 32}, ValueError,
     "batch_size: expected no batch_size for such data, found 32, while x (a generator) yields 4 "
     "rows; drop batch_size, or change the batches that a generator makes."),
    (tf_dataset, {"batch_size": 32}, ValueError,
     "batch_size: expected no batch_size for such data, found 32, while x (a tf.data.Dataset) "
     "yields 4 rows; drop batch_size, or change the batches that a tf.data.Dataset makes."),
    (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), {}, ValueError,
     "x: expected a dataset of batches, found one of single samples (y is a number); call "
     ".batch(32) on it."),
    (lambda: tf_dataset().take(0), {}, ValueError,
     "x: expected a tf.data.Dataset with at least one batch, found none; check the files or the "
     "filter it reads from."),
    (lambda: generate(y=LABELS), {"class_weight": {0: 1.0, 1: 1.0}}, ValueError,
     "class_weight: expected a weight for every class in the labels of x of batch 0, found none "
     "for class 2 (given: 0, 1); add 2: 1.0 to leave that class as it is."),
]  # fmt: skip


@pytest.mark.parametrize(("data", "kwargs", "kind", "text"), BAD, ids=[r[3][:50] for r in BAD])
def test_message(data, kwargs, kind, text):
    with pytest.raises(kind) as error:
        list(make_source(data(), **kwargs).epoch(0))
    assert str(error.value) == text


def test_batch_size_that_fits_is_fine():
    source = make_source(generate(), batch_size=4)
    assert len(list(source.epoch(0))) == 3
    inherited = make_source(generate(), batch_size=32, argument="validation_data")
    assert len(list(inherited.epoch(0))) == 3


def test_errors_of_the_generator_come_through():
    def broken():
        yield X, Y
        raise OSError("disk gone")

    source = make_source(broken())
    source.peek()
    with pytest.raises(OSError, match="disk gone"):
        list(source.epoch(0))


def test_foreign_libraries_are_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from stepfit.training.data import make_source\n"
        "make_source(np.ones((3, 1)), np.ones(3)).peek()\n"
        "next(make_source(iter([(np.ones((3, 1)),)])).epoch(0))\n"
        "bad = {'tensorflow', 'torch', 'pandas', 'keras', 'grain'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=120)
