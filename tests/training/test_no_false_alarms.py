"""Correct programs, a little out of the ordinary, that no check may refuse or warn of."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
IDS = RNG.integers(0, 5, size=(8, 3))
LABELS = RNG.integers(0, 3, size=8)
FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Net(keras.Model):
    """A linear layer, behind a table where it is asked for."""

    def __init__(self, units=3, table=None):
        super().__init__()
        self.table = None if table is None else keras.layers.Embedding(table, 4)
        self.head = keras.layers.Dense(units)

    def call(self, x):
        x = x if self.table is None else jnp.mean(self.table(x), axis=1)
        return self.head(x)


class OneHotInside(Net):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return super().compute_loss(x, jax.nn.one_hot(y, 3), y_pred, sample_weight)


class SoftmaxInside(Net):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return super().compute_loss(x, y, jax.nn.softmax(y_pred), sample_weight)


class Tape(Net):
    """A step of its own; `prepared` changes the batch first."""

    def prepared(self, x, y):
        return x, y

    def train_step(self, data):
        x, y = self.prepared(*data)
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class FromOne(Tape):
    def prepared(self, x, y):
        return x, y - 1


class Padded(Tape):
    def prepared(self, x, y):
        return jnp.maximum(x, 0), y


class FourParts(Tape):
    def train_step(self, data):
        first, second, third, y = data
        return super().train_step((first + second + third, y))


class OfTheBatch(Tape):
    """Reports a metric of each batch alone."""

    def __init__(self):
        super().__init__()
        self.latest = keras.metrics.Mean(name="latest")

    def train_step(self, data):
        logs = super().train_step(data)
        self.latest.reset_state()
        self.latest.update_state(logs["loss"])
        return {"latest": self.latest.result()}


def compiled(model, loss=FROM_LOGITS, **arguments):
    model.compile("sgd", loss, **arguments)
    return model


def four_parts():
    for _ in range(2):
        yield X, X, X, LABELS


def padded():
    return np.where(IDS == 4, -100, IDS)


@pytest.mark.parametrize(
    "run",
    [
        lambda: compiled(OneHotInside(), "categorical_crossentropy").fit(X, LABELS, verbose=0),
        lambda: compiled(SoftmaxInside(), "sparse_categorical_crossentropy").fit(
            X, LABELS, verbose=0
        ),
        lambda: compiled(FromOne()).fit(X, LABELS + 1, verbose=0),
        lambda: compiled(FromOne()).train_on_batch(X, LABELS + 1),
        lambda: compiled(Padded(table=5)).fit(padded(), LABELS, verbose=0),
        lambda: compiled(FourParts()).fit(four_parts(), verbose=0),
        lambda: compiled(FourParts(), check="strict").fit(four_parts(), verbose=0),
        lambda: compiled(OfTheBatch()).fit(X, LABELS, batch_size=4, verbose=0),
    ],
    ids=["one_hot", "softmax", "from_one", "on_batch", "padded", "four", "strict", "of_the_batch"],
)  # fmt: skip
def test_what_a_model_changes_itself_is_not_judged_before(run):
    run()


@pytest.mark.parametrize(
    "run, text",
    [
        (
            lambda: compiled(Tape()).fit(X, LABELS + 1, verbose=0),
            "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 3; "
            "give the model's last layer 4 units, or correct the labels.",
        ),
        (
            lambda: compiled(Tape(table=4)).fit(IDS, LABELS, verbose=0),
            "x: expected integers in [0, 3] for Embedding 'tape/embedding', found 4; raise "
            "input_dim or check the vocabulary.",
        ),
    ],
    ids=["labels", "indices"],
)
def test_what_an_own_step_uses_as_it_came_is_judged(run, text):
    with pytest.raises(ValueError) as caught:
        run()
    assert re.sub(r"_\d+(?=['/])", "", str(caught.value)) == text  # without numbers of names


PADDED = np.where(np.arange(3) == 2, -1, RNG.integers(0, 3, size=(8, 3)))
NO_PADDING = (PADDED >= 0).astype("float32")


@pytest.mark.parametrize("by_mask", [False, True])
def test_labels_that_do_not_count_may_be_anything(by_mask):
    table = keras.layers.Embedding(6, 2, mask_zero=by_mask)
    model = compiled(keras.Sequential([table, keras.layers.Dense(3)]))
    ids = (IDS + 1) * NO_PADDING.astype("int32")
    weights = None if by_mask else NO_PADDING
    fitted = model.fit(ids, PADDED, sample_weight=weights, verbose=0)
    assert np.isfinite(fitted.history["loss"][0])
    assert all(np.isfinite(w).all() for w in model.get_weights())
    other = np.maximum(PADDED, 0)  # the labels that do not count as others
    losses = [model.evaluate(ids, y, sample_weight=weights, verbose=0) for y in (PADDED, other)]
    assert losses[0] == pytest.approx(losses[1])


def test_targets_may_be_rounded():
    y = np.full((8, 1), np.nextafter(np.float32(1), np.float32(2)))
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    compiled(model, "binary_crossentropy").fit(X, y, verbose=0)


def test_metrics_that_are_not_known_yet_may_be_monitored():
    model = compiled(keras.Sequential([keras.layers.Dense(1)]), "mse", run_eagerly=True)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3)
    for validation_split in (0.0, 0.5):  # the second time, the names of training are known
        callbacks = [stop] if validation_split else []
        model.fit(X, X[:, :1], validation_split=validation_split, verbose=0, callbacks=callbacks)
    fresh = compiled(keras.Sequential([keras.layers.Dense(1)]), "mse", run_eagerly=True)
    history = fresh.fit(X, X[:, :1], validation_split=0.5, verbose=0, callbacks=[stop])
    assert stop.best == history.history["val_loss"][0]


def test_a_chain_built_by_its_data_takes_other_sizes_too():
    model = keras.Sequential([
        keras.layers.Embedding(5, 2), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)
    ])  # fmt: skip
    compiled(model, "mse").fit(IDS, X[:, :1], verbose=0)
    longer = model.predict(np.concatenate([IDS, IDS], axis=1), verbose=0)
    np.testing.assert_allclose(longer, model.predict(IDS, verbose=0), rtol=1e-5)
