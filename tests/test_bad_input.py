"""Bad input: what the user reads, word for word, and that the model is as it was.

The rows stand in `tests/bad_input/`: data, arguments of `fit`, `compile`, own steps, layers.
"""

import os
import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit.core import errors, naming
from tests.bad_input import argument_rows, compile_rows, data_rows, layer_rows, step_rows
from tests.bad_input.common import CLASSES, TOKENS, X, Y, batches, classifier, embedder, mlp

TABLES = (data_rows, argument_rows, compile_rows, step_rows, layer_rows)
ROWS = [row for table in TABLES for row in table.ROWS]
NAMES = [row.name for row in ROWS]


def values(model):
    """Return every value that training may change, each by its Variable."""
    found = [*model.variables, *(v for m in model._all_metrics() for v in m.variables)]
    found += [v for o in model._optimizers() for v in o.variables]
    return [(v, v.numpy()) for v in found]


def settled(row):
    """Return a row's model with slots, and with values that a reset would change."""
    naming.reset_names()
    model = row.make()
    if model.optimizer is not None and model.built and model.trainable_variables:
        model.optimizer.build(model.trainable_variables)
        for metric in model._all_metrics():
            for variable in metric.variables:
                variable.assign(variable.numpy() + 3)
    return model


def read(e):
    """Return what the user reads of an error: its text and its notes.

    Python's and JAX's own words are left out, which differ between versions.
    """
    notes = [n for n in getattr(e, "__notes__", []) if not n.startswith("-----")]
    text = str(e) if isinstance(e, errors.StepfitError) else f"({type(e).__name__})"
    return "\n".join([text, *notes])


def outcome(row):
    """Return ``(what the user reads, the error, the paths of what was changed)``."""
    model = settled(row)
    before = values(model)
    error = text = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row.call(model)
        except Exception as e:
            error, text = e, read(e)
    if error is None and caught:
        text = "\n".join(str(w.message) for w in caught)
    changed = [v.path for v, old in before if not np.array_equal(v.numpy(), old)]
    return text, error, changed


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_what_the_user_reads(row):
    text, error, changed = outcome(row)
    assert text == row.text
    assert (error is None) == (row.warns or row.text is None)
    if error is not None and not row.late:
        assert changed == []


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__name__.split(".")[-1])
def test_a_model_that_refused_trains_as_one_that_was_never_asked(table):
    refusing = [r for r in table.ROWS if r.text and not r.warns and not r.late]
    for row in [r for r in refusing if r.make is mlp][:3]:
        asked, never = settled(row), settled(row)
        never.set_weights(asked.get_weights())
        with pytest.raises(Exception):  # noqa: B017
            row.call(asked)
        for model in (asked, never):
            model.compile("sgd", "mse")
            model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        for a, b in zip(asked.get_weights(), never.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


# -- what a compiled step does with values that nobody looked at -----------------------------------


def history(model, *given):
    with pytest.warns(UserWarning, match="fit, epoch 1: expected a finite loss, found nan"):
        return model.fit(batches(*given), verbose=0).history["loss"]


@pytest.mark.parametrize("label", [7, -1])
def test_a_label_out_of_range_in_a_later_batch_shows_and_spoils_no_weight(label):
    model = classifier()
    assert np.isnan(history(model, (X, CLASSES), (X, np.where(CLASSES == 2, label, CLASSES)))[0])
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("index", [9, -1])
@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_an_index_out_of_range_in_a_later_batch_shows(index, dtype):
    bad = np.where(TOKENS == 2, index, TOKENS).astype(dtype)
    assert np.isnan(history(embedder(), (TOKENS.astype(dtype), Y), (bad, Y))[0])


# -- traced values in attributes -------------------------------------------------------------------


class Keeps(keras.Sequential):
    """Keeps what its call computed, for the loss of the same step, and beyond."""

    def call(self, x):
        self.out = super().call(x)
        self.kept = {"out": [self.out]}
        self.pair = (self.out, 1)
        return self.out

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return jnp.mean((self.out - y) ** 2)


def test_a_value_may_be_kept_for_the_same_step_and_says_so_when_used_later():
    model = mlp(cls=Keeps)
    model.fit(X, Y, verbose=0)
    model.fit(X[:8], Y[:8], batch_size=8, verbose=0)
    text = (
        "Keeps 'm' attribute 'out': expected a value, found what is left of one that "
        "Keeps.train_step computed while it was compiled; return it in the logs, or keep it in a "
        "Variable and assign to that."
    )
    for use in (float, lambda v: v + 1, lambda v: v.shape, np.asarray, len, bool, list):
        with pytest.raises((errors.StepfitRuntimeError, errors.StepfitAttributeError)) as caught:
            use(model.out)
        assert str(caught.value) == text
    assert text in repr(model.out) and repr(model.pair[0]).startswith("<Keeps 'm' attribute 'pair'")
    model.run_eagerly = True
    model.fit(X, Y, verbose=0)
    assert model(X).shape == (16, 1)


# -- what is said once -----------------------------------------------------------------------------


def test_a_cache_that_cannot_be_used_is_named():
    code = "import stepfit as k; k.Variable(1.0); k.Variable(2.0)"
    given = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**given, "STEPFIT_COMPILATION_CACHE": "/dev/null/cache"},
    ).stderr  # fmt: skip
    assert told.count("UserWarning") == 1
    assert (
        "UserWarning: STEPFIT_COMPILATION_CACHE: expected a folder that can be written to, or "
        "off, found '/dev/null/cache' (Not a directory); programs are compiled anew in each "
        "process." in told
    )


def test_there_are_enough_rows_with_names_of_their_own():
    assert len([row for row in ROWS if row.text is not None and not row.warns]) >= 110
    assert len(set(NAMES)) == len(NAMES)


def test_no_text_shows_contents_of_arrays():
    for row in ROWS:
        assert len(row.text or "") < 800 and "[[" not in (row.text or ""), row.name
