"""TensorBoard: event files as TensorBoard's own reader finds them."""

import io
import pathlib
import sys

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import TensorBoard, tensorboard_views
from tests.expect import refused

from . import events
from .small import X, Y, compiled, fit


def kinds(reader):
    """Return a dict from tag to the plugin that shows it."""
    tags = reader.Tags()["tensors"]
    return {tag: reader.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}


def test_scalars_are_those_of_the_history(tmp_path):
    model = compiled(metrics=["mae"])
    history = fit(model, [TensorBoard(tmp_path)], 3, validation_split=1 / 3).history
    train, validation = events.scalars(tmp_path / "train"), events.scalars(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for name in ("loss", "mae"):
        assert train[f"epoch_{name}"] == [
            (i, pytest.approx(v)) for i, v in enumerate(history[name])
        ]
        expected = [(i, pytest.approx(v)) for i, v in enumerate(history[f"val_{name}"])]
        assert validation[f"epoch_{name}"] == expected
        by_update = [(4 * (i + 1), value) for i, value in expected]
        assert validation[f"evaluation_{name}_vs_iterations"] == by_update
    assert train["epoch_learning_rate"] == [(i, pytest.approx(0.05)) for i in range(3)]


@pytest.mark.parametrize(("freq", "steps"), [("batch", 1), (1, 1), (4, 4), (5, 5)])
def test_scalars_of_batches_leave_steps_fused(tmp_path, freq, steps):
    seen = []
    every = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
    )
    model = compiled()
    fit(model, [every], 2)
    expected = [(i, pytest.approx(v)) for i, v in enumerate(seen, 1) if i % steps == 0]
    model = compiled()
    fit(model, [TensorBoard(tmp_path, update_freq=freq, write_steps_per_second=True)], 2)
    found = events.scalars(tmp_path / "train")
    assert found["batch_loss"] == expected
    speeds = found["batch_steps_per_second"]
    assert [step for step, _ in speeds] == [step for step, _ in expected]
    assert all(speed > 0 for _, speed in speeds + found["epoch_steps_per_second"])
    assert model.execution_report()["train"].one_by_one is None


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
def test_runs_and_tags_are_those_of_keras(tmp_path):
    import keras as theirs

    model = theirs.Sequential([theirs.Input((3,)), theirs.layers.Dense(1, name="head")])
    model.compile("sgd", "mse", metrics=["mae"])
    arguments = {"update_freq": 2, "histogram_freq": 1, "write_images": True}
    board = theirs.callbacks.TensorBoard(tmp_path / "theirs", write_graph=False, **arguments)
    model.fit(X, Y, validation_split=1 / 3, verbose=0, callbacks=[board], batch_size=4)
    board = TensorBoard(tmp_path / "ours", write_graph=False, **arguments)
    fit(compiled(metrics=["mae"]), [board], 1, validation_split=1 / 3)
    for run in ("train", "validation"):
        ours, other = (kinds(events.read(tmp_path / who / run)) for who in ("ours", "theirs"))
        ours = {tag.removeprefix("net/"): k for tag, k in ours.items() if "net/body" not in tag}
        ours.pop("head/bias/image", None)  # of one number: theirs leaves it out
        assert ours == {tag.removeprefix(f"{model.name}/"): kind for tag, kind in other.items()}


def test_histograms_and_images_of_weights(tmp_path):
    from PIL import Image

    model = compiled()
    fit(model, [TensorBoard(tmp_path, histogram_freq=2, write_images=True)], 3)
    reader = events.read(tmp_path / "train")
    for weight in model.weights:
        first, last = reader.Tensors(f"{weight.path}/histogram")
        assert (first.step, last.step) == (0, 2)
        buckets, value = events.array(last), weight.numpy()
        assert buckets[:, 2].sum() == value.size
        assert buckets[0, 0] == pytest.approx(value.min())
        assert buckets[-1, 1] == pytest.approx(value.max())
    width, height, *pictures = events.array(reader.Tensors("net/body/kernel/image")[-1])
    assert (width, height) == (b"4", b"3") and len(pictures) == 1
    kernel = model.get_layer("body").kernel.numpy()
    scaled = np.round((kernel - kernel.min()) / (kernel.max() - kernel.min()) * 255)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(pictures[0]))), scaled)


SHAPES = {(5,): (1, 1, 5, 1), (2, 7): (1, 2, 7, 1), (7, 2): (1, 2, 7, 1), (3, 4, 2): (2, 3, 4, 1),
          (3, 3, 2, 6): (1, 6, 18, 1), (4, 4, 40): (16, 4, 4, 1), (): (1, 1, 1, 1),
          (1, 1, 3, 2): (1, 2, 3, 1)}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images(shape):
    images = tensorboard_views.images_of(np.arange(np.prod(shape)).reshape(shape))
    assert images.shape == SHAPES[shape] and images.dtype == np.uint8


def test_images_of_a_weight_that_is_not_finite_and_of_one_with_many_axes():
    images = tensorboard_views.images_of(np.array([np.nan, 0.0, 1.0, np.inf]))
    assert images.ravel().tolist() == [0, 0, 255, 0]
    assert tensorboard_views.images_of(np.zeros((2, 2, 2, 2, 2))) is None


def test_the_graph_and_the_summary(tmp_path):
    x = keras.Input((3,), name="x")
    shared = keras.layers.Dense(3, name="shared")
    both = keras.layers.Add(name="add")([shared(shared(x)), x])
    model = keras.Model(x, keras.layers.Dense(1, name="head")(both), name="net")
    model.compile("sgd", "mse")
    fit(model, [TensorBoard(tmp_path)], 1)
    reader = events.read(tmp_path / "train")
    nodes = {n.name: (n.op, list(n.input)) for n in reader.Graph().node}
    assert nodes == {
        "net/x": ("Input", []),
        "net/shared": ("Dense", ["net/x"]),
        "net/shared_call_2": ("Dense", ["net/shared"]),
        "net/add": ("Add", ["net/shared_call_2", "net/x"]),
        "net/head": ("Dense", ["net/add"]),
    }
    text = events.array(reader.Tensors("model")[0]).item().decode()
    assert "shared (Dense)" in text and "head (Dense)" in text


def test_a_subclassed_model_has_nodes_too(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(1, name="dense")

        def call(self, x):
            return self.dense(x)

    model = Own()
    model.compile("sgd", "mse")
    fit(model, [TensorBoard(tmp_path)], 1)
    graph = events.read(tmp_path / "train").Graph()
    assert [(n.name, n.op) for n in graph.node] == [("own/dense", "Dense")]


@pytest.mark.parametrize("batches", [2, (5, 7), "1,3"])
def test_the_profile_of_some_batches(tmp_path, batches):
    model = compiled()
    fit(model, [TensorBoard(tmp_path, profile_batch=batches)], 2)
    (trace,) = (tmp_path / "train" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert trace.stat().st_size > 0
    assert model.execution_report()["train"].one_by_one is None


def test_the_profiler_is_stopped_by_an_error(tmp_path):
    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(compiled(), [Fail(), TensorBoard(tmp_path, profile_batch=(2, 100))], 1)
    fit(compiled(), [TensorBoard(tmp_path / "again", profile_batch=2)], 1)  # it is free again
    assert list((tmp_path / "again" / "train" / "plugins").rglob("*.xplane.pb"))


def embedding():
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="int32"),
            keras.layers.Embedding(5, 2, name="words"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("metadata", ["labels.tsv", {"words": "labels.tsv"}])
def test_embeddings(tmp_path, metadata):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    model = embedding()
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata)
    model.fit(np.arange(5).reshape(5, 1), np.ones((5, 1)), verbose=0, callbacks=[board])
    text = (tmp_path / "projector_config.pbtxt").read_text()
    (found,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert (found.tensor_name, found.metadata_path) == ("words", "labels.tsv")
    table = np.loadtxt(tmp_path / found.tensor_path, delimiter="\t")
    np.testing.assert_allclose(table, model.get_layer("words").embeddings.numpy(), rtol=1e-6)


def test_evaluate_alone_is_recorded(tmp_path):
    model = compiled()
    fit(model, [], 1)
    loss = model.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])
    found = events.scalars(tmp_path / "validation")
    assert found == {"evaluation_loss_vs_iterations": [(6, pytest.approx(loss))]}


def test_a_subclass_with_a_batch_hook_sees_logs_and_current_weights(tmp_path):
    class Own(TensorBoard):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            seen.append((logs["loss"], self.model.get_weights()[0][0, 0]))

    seen = []
    fit(compiled(), [Own(tmp_path, update_freq=1)], 1)
    assert len(seen) == len({weight for _, weight in seen}) == 6
    found = events.scalars(tmp_path / "train")["batch_loss"]
    assert found == [(i, pytest.approx(loss)) for i, (loss, _) in enumerate(seen, 1)]


def test_it_needs_no_tensorflow():
    import subprocess

    code = (
        "import sys, tempfile, numpy as np, stepfit as keras\n"
        "model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "board = keras.callbacks.TensorBoard(tempfile.mkdtemp(), histogram_freq=1,\n"
        "                                    write_images=True, embeddings_freq=1)\n"
        "model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0, callbacks=[board])\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    root = pathlib.Path(keras.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], timeout=120, cwd=root)
    assert done.returncode == 0


BAD = [
    (lambda: TensorBoard(histogram_freq=-1),
     "TensorBoard(histogram_freq): expected a number of epochs, 0 for never, found -1."),
    (lambda: TensorBoard(update_freq=0),
     "TensorBoard(update_freq): expected 'epoch', 'batch' or a positive number, found 0."),
    (lambda: TensorBoard(update_freq="epochs"),
     "TensorBoard(update_freq): expected 'epoch', 'batch' or a positive number, found 'epochs'."),
    *((lambda given=given: TensorBoard(profile_batch=given),
       "TensorBoard(profile_batch): expected 0, the number of a batch from 1, or a pair (first, "
       f"last), found {text}.")
      for given, text in [(-1, "-1"), ("a", "'a'"), ((3, 2), "tuple of 2 elements"),
                          ((0, 2), "tuple of 2 elements"), (None, "None")]),
    (lambda: embedding().fit(
        np.ones((5, 1)), np.ones((5, 1)), verbose=0,
        callbacks=[TensorBoard("/nowhere", embeddings_freq=1, embeddings_metadata={"word": "l"})]),
     "TensorBoard(embeddings_metadata): expected the name of an embedding layer, found 'word'; did "
     "you mean 'words'?"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][12:40] + str(i) for i, row in
                                                     enumerate(BAD)])  # fmt: skip
def test_message(call, text):
    refused(call, ValueError, text)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "tensorboard.compat", raising=False)
    with pytest.raises(ImportError) as error:
        TensorBoard()
    assert str(error.value) == (
        "TensorBoard: expected the package 'tensorboard', found it not installed; run: pip install "
        "'stepfit[tensorboard]'."
    )
