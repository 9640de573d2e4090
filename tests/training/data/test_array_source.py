"""Batches from arrays: form, order, purity, and what is accepted as an array."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepfit.training.data import make_source, split_validation, unpack_validation_data

Pair = collections.namedtuple("Pair", "left right")
N = 7
BASE = np.arange(N * 2, dtype="float32").reshape(N, 2)


def batches(source, epoch=0, start=0):
    return list(source.epoch(epoch, start))


ACCEPTED = {
    "numpy": (BASE, BASE),
    "float64": (BASE.astype("float64"), BASE),
    "float16": (BASE.astype("float16"), BASE),
    "bfloat16": (np.asarray(jnp.asarray(BASE, "bfloat16")), BASE),
    "bool": (BASE > 3, BASE > 3),
    "int64": (BASE.astype("int64"), BASE.astype("int32")),
    "uint64": (BASE.astype("uint64"), BASE.astype("uint32")),
    "uint8": (BASE.astype("uint8"), BASE.astype("uint8")),
    "jax": (jnp.asarray(BASE), BASE),
    "torch": (torch.tensor(BASE, requires_grad=True), BASE),
    "torch bfloat16": (torch.tensor(BASE).bfloat16(), BASE),
    "list of lists": (BASE.tolist(), BASE),
    "tuple of lists": (tuple(BASE.tolist()), BASE),
    "list of ints": (list(range(N)), np.arange(N, dtype="int32")),
    "DataFrame": (pd.DataFrame(BASE.astype("float64"), columns=["a", "b"]), BASE),
    "DataFrame, nullable": (pd.DataFrame(BASE).convert_dtypes(), BASE),
    "DataFrame, int and float": (
        pd.DataFrame({"a": np.arange(N), "b": np.arange(N) / 2}),
        np.stack([np.arange(N), np.arange(N) / 2], 1).astype("float32"),
    ),
    "Series": (pd.Series(BASE[:, 0]), BASE[:, :1]),
    "complex": (BASE.astype("complex64"), BASE.astype("complex64")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_arrays(name):
    given_, expected = ACCEPTED[name]
    found = np.concatenate(batches(make_source(given_, batch_size=3)))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


FORMS = {
    "x": ((BASE, None, None), lambda b: isinstance(b, np.ndarray)),
    "x list": (([BASE, BASE], None, None), lambda b: len(b) == 1 and isinstance(b[0], list)),
    "x tuple": (((BASE, BASE), None, None), lambda b: len(b) == 1 and isinstance(b[0], tuple)),
    "x dict": (({"a": BASE}, None, None), lambda b: set(b) == {"a"}),
    "x namedtuple": ((Pair(BASE, BASE), BASE, None), lambda b: b[0].left.shape[1] == 2),
    "x, y": ((BASE, BASE, None), lambda b: isinstance(b, tuple) and len(b) == 2),
    "x, y, w": ((BASE, BASE, BASE[:, 0]), lambda b: len(b) == 3 and b[2].ndim == 1),
    "x, w": ((BASE, None, BASE[:, 0]), lambda b: len(b) == 3 and b[1] is None),
    "x of lists": (([list(range(N)), BASE], None, None), lambda b: len(b[0]) == 2),
    "nested": (([{"a": BASE}, BASE], {"u": [BASE]}, None), lambda b: b[1]["u"][0].shape[1] == 2),
    "y with None": ((BASE, {"u": BASE, "v": None}, None), lambda b: b[1]["v"] is None),
}


@pytest.mark.parametrize("name", FORMS)
def test_form_of_a_batch(name):
    data, is_right = FORMS[name]
    source = make_source(*data, batch_size=4)
    assert [jax.tree.leaves(b)[0].shape[0] for b in batches(source)] == [4, 3]
    for batch in [*batches(source), source.peek()]:
        assert is_right(batch)


@pytest.mark.parametrize("name", ["x", "x list", "x dict", "x, y", "x, y, w", "nested"])
def test_form_is_that_of_keras(name):
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    x, y, w = FORMS[name][0]
    theirs = list(ArrayDataAdapter(x, y, w, batch_size=4).get_numpy_iterator())
    ours = batches(make_source(x, y, w, batch_size=4))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    shuffle=st.sampled_from([True, False, "batch"]),
    seed=st.integers(0, 2**40),
    steps=st.one_of(st.none(), st.integers(1, 40)),
)
def test_every_sample_once_per_pass(size, batch_size, shuffle, seed, steps):
    x = np.arange(size)
    per_pass = -(-size // batch_size)
    steps = None if steps is None else 1 + steps % per_pass
    source = make_source(x, batch_size=batch_size, shuffle=shuffle, seed=seed, steps=steps)
    assert source.num_batches == (steps or per_pass)
    assert (source.num_samples, source.batch_size) == (size, batch_size)
    epochs = [batches(source, epoch) for epoch in range(per_pass * 2)]
    assert {len(e) for e in epochs} == {source.num_batches}
    flat = [b for e in epochs for b in e]
    for i in range(0, len(flat) - per_pass + 1, per_pass):
        rows = np.concatenate(flat[i : i + per_pass])
        np.testing.assert_array_equal(np.sort(rows), x)
        if shuffle is False:
            np.testing.assert_array_equal(rows, x)
        if shuffle == "batch":
            for k, b in enumerate(flat[i : i + per_pass]):
                np.testing.assert_array_equal(np.sort(b), x[k * batch_size :][:batch_size])


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 30),
    batch_size=st.integers(1, 8),
    seed=st.integers(0, 2**33),
    epoch=st.integers(0, 1000),
    shuffle=st.sampled_from([True, "batch"]),
    data=st.data(),
)
def test_a_batch_depends_on_seed_epoch_and_step_alone(
    size, batch_size, seed, epoch, shuffle, data
):
    def source():
        return make_source(np.arange(size), batch_size=batch_size, shuffle=shuffle, seed=seed)

    straight = batches(source(), epoch)
    step = data.draw(st.integers(0, len(straight) - 1))
    used = source()
    batches(used, 3), used.peek(), np.random.rand()
    np.testing.assert_array_equal(used.batch(epoch, step), straight[step])
    for a, b in zip(batches(source(), epoch, step), straight[step:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_order_is_frozen():
    """The order must never change between versions, or resumed runs would read other data."""
    source = make_source(np.arange(10), batch_size=10, shuffle=True, seed=1)
    assert source.batch(0, 0).tolist() == ORDER[0]
    assert source.batch(1, 0).tolist() == ORDER[1]
    big = make_source(np.arange(10), batch_size=10, shuffle=True, seed=2**33 + 1)
    assert big.batch(0, 0).tolist() != ORDER[0]


ORDER = [[6, 0, 7, 9, 4, 1, 8, 5, 2, 3], [2, 7, 3, 0, 9, 1, 4, 6, 8, 5]]


def test_shuffling_keeps_rows_together():
    x, y = {"a": np.arange(20)}, [np.arange(20) * 2, np.arange(20) * 3]
    for xb, yb, wb in make_source(x, y, np.arange(20.0), batch_size=6, shuffle=True).epoch(4):
        np.testing.assert_array_equal(xb["a"] * 2, yb[0])
        np.testing.assert_array_equal(xb["a"] * 3, yb[1])
        np.testing.assert_array_equal(xb["a"], wb[0])
        np.testing.assert_array_equal(xb["a"], wb[1])


DEFAULT_BATCH_SIZES = [
    # samples, steps, batch size, batches
    (100, None, 32, 4),
    (100, 10, 10, 10),
    (100, 7, 15, 7),
    (10, 6, 1, 6),
    (5, 5, 1, 5),
]


@pytest.mark.parametrize(("size", "steps", "batch_size", "count"), DEFAULT_BATCH_SIZES)
def test_default_batch_size(size, steps, batch_size, count):
    source = make_source(np.arange(size), steps=steps)
    assert (source.batch_size, source.num_batches) == (batch_size, count)
    assert source.has_partial_batch == (size % batch_size != 0)


def test_repr_tells_the_sizes():
    assert repr(make_source(BASE)) == "<ArraySource: 7 samples, 1 batches of 32>"


def test_a_source_passes_through():
    source = make_source(BASE)
    assert make_source(source) is source


def test_seed_is_drawn_when_absent():
    from stepfit.core import seeding

    orders = []
    for _ in range(2):
        seeding.set_seed(3)
        orders.append(make_source(np.arange(50), shuffle=True, batch_size=50).batch(0, 0))
    np.testing.assert_array_equal(*orders)


def test_without_shuffling_batches_are_views():
    x = np.zeros((100, 3), "float32")
    assert np.shares_memory(next(make_source(x).epoch(0)), x)


def test_one_weight_array_serves_every_output():
    _, _, w = make_source(BASE, {"u": BASE, "v": BASE}, np.arange(N, dtype="float32")).peek()
    np.testing.assert_array_equal(w["u"], np.arange(N))
    np.testing.assert_array_equal(w["v"], np.arange(N))


def test_weights_take_the_structure_of_the_targets():
    weights = (np.ones(N), None)
    _, y, w = make_source(BASE, [BASE, BASE], weights).peek()
    assert isinstance(w, list) and w[1] is None and w[0].dtype == np.float32
    assert len(y) == 2


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 60), share=st.floats(0.01, 0.99))
def test_validation_split_is_that_of_keras(size, share):
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    x, y = np.arange(size), np.arange(size) * 2.0
    try:
        theirs = train_validation_split((x, y, None), share)
    except ValueError:
        with pytest.raises(ValueError, match="which leaves none for"):
            split_validation(x, y, None, share)
        return
    ours = split_validation(x, y, None, share)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our[0], their[0][:])
        np.testing.assert_array_equal(our[1], their[1][:])
        assert our[2] is None


def test_unpack_validation_data():
    assert unpack_validation_data((1,)) == (1, None, None)
    assert unpack_validation_data((1, 2)) == (1, 2, None)
    assert unpack_validation_data([1, 2, 3]) == (1, 2, 3)
    assert unpack_validation_data("data set") == ("data set", None, None)
    with pytest.raises(ValueError) as error:
        unpack_validation_data((1, 2, 3, 4))
    assert str(error.value) == (
        "validation_data: expected (x, y), (x, y, sample_weight), or an object that makes "
        "batches, found tuple of 4 elements; pass several inputs as one element: ((x1, x2), y)."
    )


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_may_be_empty(shuffle):
    source = make_source(np.ones((N, 0), "float32"), batch_size=3, shuffle=shuffle)
    buffers = [np.full((4, *s.shape), 5, s.dtype) for s in jax.tree.leaves(source.batch_specs(3))]
    source.fill(0, 0, 2, buffers)
    assert [b.shape for b in buffers] == [(4, 3, 0)]
