"""What is particular to sparse arrays, tf.data, grain and Hugging Face datasets."""

import json
import os
import subprocess
import sys
import tracemalloc

import datasets
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

import stepfit as keras
from stepfit.training.data import make_source, split_validation, tf_data
from stepfit.training.data.source import StatefulSource
from tests.expect import refused
from tests.training.data import source_rows
from tests.training.data.source_rows import tf
from tests.training.data.worker_sets import Samples, X, Y


def same(got, expected):
    jax.tree.map(np.testing.assert_array_equal, got, expected)


# -- sparse ----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
CUBE = (RNG.random((12, 3, 4)) * (RNG.random((12, 3, 4)) < 0.3)).astype("float32")
FLAT = CUBE.reshape(12, 12)
PADDED = sparse.BCOO.fromdense(jnp.asarray(CUBE), nse=140)  # more places than numbers
SPARSE = {
    "csr_matrix": (scipy.sparse.csr_matrix(FLAT), FLAT),
    "csr_array": (scipy.sparse.csr_array(FLAT), FLAT),
    "csc": (scipy.sparse.csc_matrix(FLAT), FLAT),
    "coo": (scipy.sparse.coo_matrix(FLAT), FLAT),
    "lil": (scipy.sparse.lil_array(FLAT), FLAT),
    "float64": (scipy.sparse.csr_array(FLAT.astype("float64")), FLAT),
    "int64": (scipy.sparse.csr_array((FLAT > 0).astype("int64")), (FLAT > 0).astype("int32")),
    "twice the same place": (
        scipy.sparse.coo_array(([1.0, 2.0], ([5, 5], [3, 3])), shape=(12, 12)),
        3 * (np.arange(144).reshape(12, 12) == 63).astype("float32"),
    ),
    "BCOO": (sparse.BCOO.fromdense(jnp.asarray(CUBE)), CUBE),
    "BCOO with padding": (PADDED, CUBE),
    "BCOO with batch axes": (sparse.BCOO.fromdense(jnp.asarray(CUBE), n_batch=1), CUBE),
    "BCOO with dense axes": (sparse.BCOO.fromdense(jnp.asarray(CUBE), n_dense=1), CUBE),
    "BCOO of one axis": (sparse.BCOO.fromdense(jnp.asarray(CUBE[:, 0, 0])), CUBE[:, 0, 0]),
    "BCSR": (sparse.BCSR.fromdense(jnp.asarray(FLAT)), FLAT),
}


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_rows_become_dense_by_the_batch(kind):
    value, dense = SPARSE[kind]
    labels = np.arange(12, dtype="int32")
    for kwargs in ({}, {"shuffle": True, "seed": 3}, {"shuffle": "batch", "seed": 3}):
        got = make_source({"a": value}, labels, batch_size=5, **kwargs)
        expected = make_source({"a": dense}, labels, batch_size=5, **kwargs)
        for epoch in range(2):
            same(list(got.epoch(epoch)), list(expected.epoch(epoch)))
    assert got.peek()[0]["a"].dtype == dense.dtype
    from_generator = make_source(iter([(value, labels)])).peek()
    assert isinstance(from_generator[0], np.ndarray)
    np.testing.assert_array_equal(from_generator[0], dense)
    (train, _, _), (rest, _, _) = split_validation(value, labels, None, 0.25)
    assert not isinstance(train, np.ndarray) and train.shape == (9, *dense.shape[1:])
    same([np.asarray(train), np.asarray(rest)], [dense[:9], dense[9:]])


def test_sparse_data_is_never_dense_as_a_whole():
    wide = scipy.sparse.random(4_000, 5_000, density=1e-4, format="csr", random_state=0)
    model = keras.Sequential([keras.Input((5_000,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    keras.config.set_device_data_budget(10**10)
    tracemalloc.start()
    try:
        model.fit(wide, np.zeros(4_000), batch_size=16, steps_per_epoch=4, verbose=0)
        model.predict(wide[:64], verbose=0)
        assert tracemalloc.get_traced_memory()[1] < 40e6  # 80 MB dense
    finally:
        tracemalloc.stop()
        keras.config.set_device_data_budget(None)
    assert model.train_on_batch(wide[:8], np.zeros(8)) is not None
    assert model.predict_on_batch(sparse.BCOO.from_scipy_sparse(wide[:8])).shape == (8, 1)


# -- tf.data ---------------------------------------------------------------------------------------


def test_sparse_tensors_of_a_dataset_become_dense():
    data = tf.data.Dataset.from_tensor_slices({"a": tf.sparse.from_dense(np.eye(4, dtype="f4"))})
    data = data.map(lambda row: ({"a": row["a"]}, row["a"])).batch(3)
    value = tf.compat.v1.SparseTensorValue([[0, 0], [1, 2]], [1.0, 2.0], (2, 3))
    dense = [[1, 0, 0], [0, 0, 2]]
    same(tf_data._dense(({"a": value}, value)), ({"a": dense}, dense))
    same(make_source(data).peek(), ({"a": np.eye(4)[:3]}, np.eye(4)[:3]))


def test_a_dataset_without_a_seed_goes_on_in_the_same_order():
    def unseeded():
        source = make_source(tf.data.Dataset.from_tensor_slices(Y).shuffle(10).batch(2))
        source.keeps_states = True
        return source

    one, other = unseeded(), unseeded()
    one.peek(), other.peek()
    expected = list(one.epoch(0))
    other.restore(json.loads(json.dumps(one.state(0, 2))), 0, 2)
    same(list(other.epoch(0, 2)), expected[2:])


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_dataset_of_a_python_generator(checkpoints, monkeypatch):
    if not checkpoints:  # then earlier passes are opened, and left
        monkeypatch.setattr(tf_data, "_save", lambda iterator: None)

    def numbers():
        yield from X

    def make():
        spec = tf.TensorSpec((2,), tf.float32)
        data = tf.data.Dataset.from_generator(numbers, output_signature=spec)
        source = make_source(data.shuffle(10, seed=3).batch(2))
        source.keeps_states = True
        return source

    one, other = make(), make()
    expected = [list(one.epoch(epoch)) for epoch in range(3)]
    state = one.state(2, 1)
    assert (state["mark"] is not None) is checkpoints
    other.restore(state, 2, 1)
    same(list(other.epoch(2, 1)), expected[2][1:])


# -- grain -----------------------------------------------------------------------------------------


def test_an_endless_map_dataset():
    data = grain.MapDataset.source(source_rows.Rows()).repeat(None).batch(4)
    source = make_source(data, steps=2)
    assert [len(list(source.epoch(epoch))) for epoch in range(2)] == [2, 2]


def test_filtered_rows_of_a_map_dataset():
    data = grain.MapDataset.source(source_rows.Rows()).filter(lambda row: row[1] == 1)
    refused(
        lambda: make_source(data).peek(), ValueError,
        "batch 0 of x: expected a batch, found none, as it was filtered out; after .filter(...) "
        "call .to_iter_dataset().",
    )  # fmt: skip


def test_flags_that_grain_wants_parsed():
    class UnparsedFlagAccessError(Exception):
        pass

    error = StatefulSource(source_rows.grain_loader())._explain(UnparsedFlagAccessError())
    assert str(error) == (
        "x: expected that command line flags were parsed, as grain's workers want it, found none; "
        "call `from absl import flags; flags.FLAGS.mark_as_parsed()` first."
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_worker_of_grain_is_an_error():
    from absl import flags

    flags.FLAGS.mark_as_parsed()
    sampler = grain.samplers.IndexSampler(10, num_epochs=1)
    data = grain.DataLoader(
        data_source=Samples(bad=9, how="kill"), sampler=sampler, worker_count=1,
        operations=[grain.transforms.Batch(4)],
    )  # fmt: skip
    with make_source(data) as source:
        with pytest.raises(RuntimeError, match="exit code -9") as caught:
            list(source.epoch(0))
    assert any("batch" in note and "of x was read" in note for note in caught.value.__notes__)


def test_states_that_json_cannot_hold():
    from stepfit.training.data.grain_data import _from_json, _to_json

    state = {"a": b"\x00\xff", "b": [np.int64(3), None, {"c": np.arange(3, dtype="uint32")}]}
    made = _from_json(json.loads(json.dumps(_to_json(state))))
    assert made["a"] == b"\x00\xff" and made["b"][:2] == [3, None]
    np.testing.assert_array_equal(made["b"][2]["c"], np.arange(3))
    assert made["b"][2]["c"].dtype == np.uint32
    assert _to_json({"a": object()}) is None


# -- Hugging Face ----------------------------------------------------------------------------------


def table(**columns):
    known = {"x": X, "u": X[:, :1], "label": Y, "w": Y / 2}
    return datasets.Dataset.from_dict({k: v.tolist() for k, v in known.items()} | columns)


@pytest.mark.parametrize("stream", [False, True])
def test_columns_are_named_by_y_and_sample_weight(stream):
    data = table().to_iterable_dataset() if stream else table()
    x, y, w = make_source(data, "label", "w", batch_size=4).peek()
    assert set(x) == {"x", "u"} and x["x"].shape == (4, 2) and w.dtype == np.float32
    np.testing.assert_array_equal(y, Y[:4])
    x, y = make_source(data.remove_columns("w"), ["label", "u"]).peek()
    assert x.shape == (10, 2) and set(y) == {"label", "u"}
    assert set(make_source(data).peek()) == {"x", "u", "label", "w"}
    assert isinstance(make_source(data.with_format("jax"), "label").peek()[1], jax.Array)


HF_ERRORS = [
    (lambda: make_source(table(), "lable"), ValueError,
     "y: expected the name of a column, found 'lable'; did you mean 'label'?"),
    (lambda: make_source(table(), Y), TypeError,
     "y: expected the name of a column, or a list of names, found int32[10]; for example "
     "y='label'."),
    (lambda: make_source(table().select_columns(["label"]), "label"), ValueError,
     "x: expected a column beside y, found the columns ['label']."),
    (lambda: make_source(datasets.DatasetDict(train=table(), test=table()), "label"), TypeError,
     "x: expected one dataset, found the splits 'train', 'test'; pass one of them, such as "
     "x['train']."),
    (lambda: make_source(table(t=["a"] * 10), "label").peek(), TypeError,
     "batch 0 of x, x['t']: expected an array of numbers, found strings (<U1); map them to "
     "integers first, with a StringLookup or TextVectorization layer: layer(x) for arrays, "
     "dataset.map(lambda x, y: (layer(x), y)) in a data pipeline; a model that has such a layer "
     "takes strings in a call, model(x)."),
    (lambda: make_source(table().select([])), ValueError,
     "x: expected a Hugging Face dataset with at least one batch, found none; check the files or "
     "the filter it reads from."),
]  # fmt: skip


@pytest.mark.parametrize("run, kind, text", HF_ERRORS, ids=[row[2][:40] for row in HF_ERRORS])
def test_messages_on_columns(run, kind, text):
    refused(run, kind, text)


def test_a_shuffled_table_reads_every_row_once():
    source = make_source(table(), "label", batch_size=3, shuffle=True, seed=1)
    epochs = [np.concatenate([b[0]["x"][:, 0] for b in source.epoch(e)]) for e in range(2)]
    assert (epochs[0] != epochs[1]).any()
    for rows in epochs:
        np.testing.assert_array_equal(np.sort(rows), X[:, 0])
    assert (source.num_samples, source.num_batches, source.batch_size) == (10, 4, 3)


# -- another process -------------------------------------------------------------------------------


def test_a_new_process_goes_on_where_another_was(tmp_path):
    before = source_rows.read_from(None)
    (tmp_path / "states").write_text(json.dumps(before))
    code = (
        "import json, sys\n"
        "from tests.training.data.source_rows import read_from\n"
        "print(json.dumps(read_from(json.load(open(sys.argv[1])))))\n"
    )
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code, str(tmp_path / "states")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    after = json.loads(done.stdout)
    assert {k: v[1] for k, v in after.items()} == {k: v[1] for k, v in before.items()}
