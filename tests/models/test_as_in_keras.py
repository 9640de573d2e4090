"""Methods of models and layers that ordinary Keras code calls: what real Keras returns."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import stepfit
from tests.expect import refused

LIBRARIES = pytest.mark.parametrize("k", [stepfit, keras], ids=["stepfit", "keras"])


def model_of(k):
    layers = [
        k.Input((3,)),
        k.layers.Dense(2, name="a"),
        k.layers.BatchNormalization(name="b"),
        k.layers.Dropout(0.5, name="c"),
    ]
    model = k.Sequential(layers, name="net")
    model.compile(k.optimizers.Adam(name="adam"), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def form(tree):
    """Names and shapes, the automatic names of seed generators and metrics' left out."""
    tree = {k: v for k, v in tree.items() if k != "metrics_variables"}
    tree["non_trainable_variables"] = tree["non_trainable_variables"]["net"]
    return jax.tree.map(np.shape, tree)


def test_the_state_as_a_tree():
    ours, theirs = model_of(stepfit), model_of(keras)
    assert form(ours.get_state_tree()) == form(theirs.get_state_tree())
    tree = ours.get_state_tree("numpy_array")
    assert {type(x) for x in jax.tree.leaves(tree)} == {np.ndarray}
    tree["trainable_variables"]["net"]["a"]["bias"] = np.array([5.0, 6.0])
    tree["optimizer_variables"]["adam"]["iteration"] = np.array(7)
    ours.set_state_tree(tree)
    assert ours.layers[0].bias.numpy().tolist() == [5, 6] and int(ours.optimizer.iterations) == 7
    part = {"trainable_variables": {"net": {"a": {"bias": np.zeros(2)}}}}
    ours.set_state_tree(part)
    assert ours.layers[0].bias.numpy().tolist() == [0, 0] and int(ours.optimizer.iterations) == 7


def test_a_tree_that_does_not_fit_changes_nothing():
    model = model_of(stepfit)
    good = {"net": {"a": {"bias": np.ones(2)}}}
    bad = {"net": {"a": {"bias": np.ones(2)}, "b": {"gama": np.ones(2)}}}
    refused(
        lambda: model.set_state_tree({"trainable_variables": bad}),
        ValueError,
        "set_state_tree(state_tree['trainable_variables']): expected the name of a variable, found "
        "'net/b/gama'; did you mean 'net/b/gamma'?",
    )
    refused(
        lambda: model.set_state_tree({"trainable_variables": good, "weights": {}}),
        ValueError,
        "set_state_tree(state_tree): expected the name of a part, found 'weights'; known names: "
        "'metrics_variables', 'non_trainable_variables', 'optimizer_variables', "
        "'trainable_variables'.",
    )
    refused(
        lambda: model.get_state_tree("numpy"),
        ValueError,
        "get_state_tree(value_format): expected the name of a format, found 'numpy'; did you mean "
        "'numpy_array'?",
    )
    assert model.layers[0].bias.numpy().tolist() == [0, 0]
    twice = stepfit.Sequential(name="twice")
    twice.extra = [stepfit.Variable(1.0, name="v"), stepfit.Variable(2.0, name="v")]
    refused(
        twice.get_state_tree,
        ValueError,
        "get_state_tree()['trainable_variables']: expected Variables with paths of their own, "
        "found 'v' twice; give layers or Variables names of their own.",
    )


@LIBRARIES
def test_a_convolution_with_a_kernel_of_ones_own(k):
    class Standardized(k.layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            kernel = kernel - k.ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
            return super().convolution_op(inputs, kernel)

    layer = Standardized(2, 2, use_bias=False)
    x = np.ones((1, 4, 4, 3), "float32")  # every window sums the kernel: to zero
    np.testing.assert_allclose(layer(x), np.zeros((1, 3, 3, 2)), atol=1e-6)


@LIBRARIES
def test_calls_by_keras_names(k):
    dense = k.layers.Dense(2)
    dense.build((None, 3))
    assert tuple(dense.compute_output_shape(input_shape=(None, 3))) == (None, 2)
    with pytest.raises((ValueError, TypeError)) as caught:
        dense.add_weight("scale", (2,))
    assert "name='scale'" in str(caught.value)


@LIBRARIES
def test_an_embedding_goes_back_and_masks_only_on_the_way_there(k):
    layer = k.layers.ReversibleEmbedding(5, 3, mask_zero=True, dtype="mixed_bfloat16",
                                         reverse_dtype="float32")  # fmt: skip
    hidden = layer(np.array([[1, 0]]))
    logits = layer(hidden, reverse=True)
    assert hidden._keras_mask.tolist() == [[True, False]]
    assert getattr(logits, "_keras_mask", None) is None
    assert (hidden.dtype, logits.dtype) == ("bfloat16", "float32")
    tokens = k.Input((None,), dtype="int32")
    model = k.Model(tokens, layer(layer(tokens), reverse=True))
    assert model.output_shape == (None, None, 5) and len(model.weights) == 1
