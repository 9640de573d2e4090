"""What single losses do beside what the table of all of them checks."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

from stepfit import losses
from tests.parity.losses import data_for, weights_for
from tests.parity.test_losses import OURS, close


def test_structures_of_targets_and_predictions():
    class Sum(losses.Loss):
        def call(self, y_true, y_pred):
            return jnp.mean((y_true["a"] - y_pred["a"]) ** 2 + y_pred["b"], axis=-1)

    y_pred = {"a": np.ones((4, 2)), "b": np.zeros((4, 2))}
    assert float(Sum()({"a": np.zeros((4, 2))}, y_pred)) == 1.0
    wrapped = losses.LossFunctionWrapper(lambda t, p: (t[0] - p[0]) ** 2 + t[1] - p[1])
    assert float(wrapped([np.ones(3), np.ones(3)], [np.zeros((3, 1)), np.ones((3, 1))])) == 1.0


def test_users_loss_like_keras():
    class Cubic(losses.Loss):
        def __init__(self, power=3, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def call(self, y_true, y_pred):
            return jnp.mean(jnp.abs(y_true - y_pred) ** self.power, axis=-1)

    loss = Cubic(2, name="mine")
    y_true, y_pred = data_for("real", (6, 3))
    weights = weights_for((6,))[3]
    expected = oracle.losses.MeanSquaredError()(y_true, y_pred, weights)
    close(loss(y_true, y_pred, weights), expected)
    assert loss.get_config()["power"] == 2 and loss.name == "mine"


def test_a_column_and_a_row_of_numbers_go_together():
    for name in ("mean_squared_error", "poisson", "kl_divergence", "hinge", "binary_crossentropy"):
        fn = losses.get(name)
        expected = fn(np.full((4, 1), 0.5), np.full((4, 1), 0.25))
        assert fn(np.full(4, 0.5), np.full((4, 1), 0.25)).tolist() == expected.tolist()


def test_one_row_against_a_scalar_target():
    assert losses.mean_squared_error(0.0, np.ones((3, 1))).tolist() == [1.0, 1.0, 1.0]
    assert float(losses.MeanSquaredError()(0.0, np.ones((1, 1)))) == 1.0


def test_gradient_of_cosine_similarity_at_zero_is_finite():
    slope = jax.grad(lambda p: losses.CosineSimilarity()(np.ones((2, 3)), p))(jnp.zeros((2, 3)))
    assert np.isfinite(np.asarray(slope)).all()


def test_smoothing_uses_the_class_axis():
    y_true, y_pred = data_for("one_hot", (4, 5, 3))
    kwargs = {"label_smoothing": 0.3}
    expected = losses.categorical_crossentropy(y_true, y_pred, **kwargs)
    turned = [np.moveaxis(y, -1, 1) for y in (y_true, y_pred)]
    close(losses.categorical_crossentropy(*turned, axis=1, **kwargs), expected)
    labels = y_true.argmax(-1)
    close(
        losses.sparse_categorical_crossentropy(labels, turned[1], axis=1),
        losses.sparse_categorical_crossentropy(labels, y_pred),
    )


def test_integer_predictions_do_not_truncate_targets():
    assert losses.mean_squared_error([[0.5]], [[1]]).tolist() == [0.25]


@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "kind"),
    [((8,), (8, 1), "binary"), ((8, 1), (8, 3), "sparse"), ((8,), (8, 3), "sparse"),
     ((8, 3), (8, 3), "categorical"), ((None, 5), (None, 5, 4), "sparse"), ((8,), (8,), "binary")],
)  # fmt: skip
def test_crossentropy_is_resolved_from_shapes(true_shape, pred_shape, kind):
    loss = losses.resolve("crossentropy", true_shape, pred_shape)
    prefix = {"sparse": "sparse_categorical"}.get(kind, kind)
    assert loss.fn is losses.get(f"{prefix}_crossentropy")


def test_resolve_names_losses_as_asked():
    assert losses.resolve("mse", (8, 1), (8, 1)).name == "mse"
    assert losses.resolve(losses.huber, (8, 1), (8, 1)).name == "huber"
    assert losses.resolve(None, (8, 1), (8, 1)) is None
    given = losses.Huber(name="mine")
    assert losses.resolve(given, (8, 1), (8, 1)) is given
    assert losses.resolve(losses.Huber, (8, 1), (8, 1)).name == "huber_loss"


def test_circle_with_references():
    y_true, y_pred = data_for("embeddings", (6, 4))
    labels, references = data_for("embeddings", (9, 4), seed=1)
    for options in ({}, {"remove_diagonal": False, "gamma": 5.0}):
        found, expected = (
            m.losses.circle(y_true, y_pred, labels, references, **options) for m in (OURS, oracle)
        )
        close(found, expected, rtol=1e-4)


def test_circle_of_a_sample_without_a_pair_has_a_finite_gradient():
    y_true, y_pred = np.array([0, 0, 1]), data_for("embeddings", (3, 4))[1]
    slope = jax.grad(lambda p: losses.Circle()(y_true, p))(y_pred)
    assert np.isfinite(slope).all() and np.any(slope)
