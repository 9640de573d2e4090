"""Models as ONNX files and TensorFlow SavedModels, run by those."""

import os

import jax
import numpy as np
import pytest

import stepfit as keras
from stepfit.saving import converted
from stepfit.saving.file_errors import FileError
from tests.expect import refused
from tests.saving.models import KINDS, fill, inputs_of, outputs_of

FORMS = ["functional", "attention"]


def as_onnx(path, x):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return session.run(None, x if isinstance(x, dict) else {session.get_inputs()[0].name: x})


def as_saved_model(path, x):
    loaded = pytest.importorskip("tensorflow").saved_model.load(path)
    found = loaded.serve(*(x.values() if isinstance(x, dict) else [x]))
    return [np.asarray(y) for y in jax.tree.leaves(found)]


READERS = {"onnx": ("jax2onnx", as_onnx), "tf_saved_model": ("tensorflow", as_saved_model)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorFlow and JAX's converter
@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("form", READERS)
def test_they_compute_the_same(form, kind, tmp_path):
    package, read = READERS[form]
    pytest.importorskip(package)
    model, path = KINDS[kind](keras), str(tmp_path / "exported")
    fill(model.weights, 1)
    model.export(path, format=form)
    x = inputs_of(model)
    for repeats in (1, 3):  # the size of the batch is open
        x = jax.tree.map(lambda a, n=repeats: np.repeat(a, n, 0), x)
        for a, b in zip(read(path, x), outputs_of(model, x), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    model.export(path, format=form)  # over the one that is there
    assert os.listdir(tmp_path) == ["exported"]


def test_what_computes_something_else_is_no_file():
    refused(
        lambda: converted._checked(lambda: (b"", [np.ones(2)], [np.zeros(2)]), "export('x')", "X"),
        FileError, "export('x'): output 0: expected what the model computes, found something else; "
        "pass input_signature=[shape, ...] without open sizes, or format='stablehlo'.",
    )  # fmt: skip


def test_folders_of_others_stay(tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "x").write_text("kept")
    with pytest.raises(ValueError, match="expected a new folder, or that of a SavedModel, found"):
        KINDS["sequential"](keras).export(tmp_path, format="tf_saved_model")
    assert os.listdir(tmp_path) == ["x"]
