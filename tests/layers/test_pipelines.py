"""Preprocessing layers in data pipelines: tf.data, grain, torch, and threads."""

import grain
import jax
import numpy as np
import pytest
import tensorflow as tf
import torch

import stepfit
from stepfit import layers

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (6, 8, 6, 3)).astype("uint8")


def dataset(x=IMAGES):
    return tf.data.Dataset.from_tensor_slices(x)


def taken(found):
    return [np.asarray(x) for x in found]


def test_tf_data_maps_single_images_and_batches():
    layer = layers.Resizing(4, 3)
    expected = np.asarray(layer(IMAGES))
    single = dataset().map(layer)
    assert single.element_spec == tf.TensorSpec((4, 3, 3), tf.uint8)
    np.testing.assert_array_equal(np.stack(taken(single)), expected)
    batches = dataset().batch(4).map(layer, num_parallel_calls=2)
    assert batches.element_spec == tf.TensorSpec((None, 4, 3, 3), tf.uint8)
    assert [x.shape[0] for x in batches] == [4, 2]  # the last one is smaller
    np.testing.assert_array_equal(np.concatenate(taken(batches)), expected)


def test_tf_data_with_labels_and_settings_of_the_call():
    layer = layers.RandomFlip(dtype="bfloat16")
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(6)))
    mapped = pairs.map(lambda x, y: (layer(x, training=False), y))
    assert mapped.element_spec[0] == tf.TensorSpec((8, 6, 3), tf.bfloat16)
    assert [int(y) for _, y in mapped] == list(range(6))
    np.testing.assert_array_equal(next(iter(mapped))[0].numpy().astype("uint8"), IMAGES[0])


def test_tf_data_keeps_structures():
    layer = layers.RandomTranslation(0, (0.5, 0.5), "wrap", bounding_box_format="xyxy")
    given = {
        "images": IMAGES.astype("float64"), "labels": np.arange(6.0),
        "bounding_boxes": {"boxes": np.tile([[1.0, 0, 2, 8]], (6, 1, 1)),
                           "labels": np.ones((6, 1), "int64")},
        "names": np.array(list("abcdef")),
    }  # fmt: skip
    names = given.pop("names")
    mapped = dataset(given).map(layer)
    assert mapped.element_spec["images"] == tf.TensorSpec((8, 6, 3), tf.float32)
    boxes = next(iter(mapped))["bounding_boxes"]
    assert boxes["boxes"].numpy().tolist() == [[4, 0, 5, 8]] and boxes["labels"].numpy() == [1]
    np.testing.assert_array_equal(
        next(iter(mapped))["images"], np.roll(IMAGES[0], 3, axis=1).astype("float32")
    )
    named = dataset({**given, "names": names}).map(
        lambda x: {**layer({k: v for k, v in x.items() if k != "names"}), "names": x["names"]}
    )
    assert [x["names"].numpy() for x in named] == [n.encode() for n in names]


def test_tf_data_draws_anew_for_each_element_and_each_pass():
    layer = layers.RandomBrightness(0.5, value_range=(-1, 1), seed=3)
    mapped = dataset(np.zeros((20, 1, 1, 1), "float32")).map(layer, num_parallel_calls=4)
    found = [float(x[0, 0, 0]) for _ in range(2) for x in mapped]
    assert len(set(found)) == 40
    model = stepfit.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    pairs = mapped.map(lambda x: (x[0], x[0])).unbatch().batch(5)
    history = model.fit(pairs, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_tf_data_maps_models():
    """As one operation of the graph, whatever its layers are."""
    model = stepfit.Sequential([layers.RandomFlip(seed=1), layers.Rescaling(0.5)])
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(6))).batch(4)
    mapped = pairs.map(lambda x, y: (model(x, training=True), y), num_parallel_calls=2)
    assert mapped.element_spec[0] == tf.TensorSpec((None, 8, 6, 3), tf.float32)
    first, again = (np.concatenate([x for x, _ in mapped]) for _ in range(2))
    np.testing.assert_allclose(first.sum((1, 2)), IMAGES.sum((1, 2), "float32") / 2)
    assert (first != again).any()  # drawn anew
    still = pairs.map(lambda x, y: model(x, training=False))
    np.testing.assert_array_equal(np.concatenate(taken(still)), IMAGES / 2)


def test_tf_data_maps_models_of_strings_and_dicts():
    inputs = {"n": stepfit.Input((1,)), "s": stepfit.Input((1,), dtype="string")}
    number = layers.StringLookup(vocabulary=["a", "b"])(inputs["s"])
    model = stepfit.Model(inputs, {"both": layers.Concatenate()([inputs["n"], number])})
    table = {"n": np.array([[0.5], [2.0]], "float32"), "s": np.array([["b"], ["?"]])}
    mapped = dataset(table).batch(2).map(model)
    assert mapped.element_spec == {"both": tf.TensorSpec((None, 2), tf.float32)}
    assert next(iter(mapped))["both"].numpy().tolist() == [[0.5, 2.0], [2.0, 0.0]]


def test_eager_tensors_are_arrays():
    found = layers.Resizing(4, 3)(tf.constant(IMAGES))
    assert isinstance(found, jax.Array) and found.dtype == "uint8"
    np.testing.assert_array_equal(found, layers.Resizing(4, 3)(IMAGES))


def test_sizes_that_differ_from_image_to_image():
    ragged = tf.data.Dataset.from_generator(
        lambda: iter([IMAGES[0], IMAGES[1, :5]]),
        output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
    )
    mapped = ragged.map(layers.CenterCrop(4, 4)).batch(2)
    assert mapped.element_spec == tf.TensorSpec((None, 4, 4, 3), tf.float32)
    assert next(iter(mapped)).shape == (2, 4, 4, 3)


def test_grain_maps():
    layer = layers.RandomRotation(0.1, seed=1)
    source = grain.MapDataset.source(IMAGES).map(layer).map(np.asarray)
    assert source[0].shape == (8, 6, 3) and not np.array_equal(source[0], source[0])
    loaded = list(source.batch(3).to_iter_dataset(grain.ReadOptions(2, 4)))
    assert [x.shape for x in loaded] == [(3, 8, 6, 3)] * 2
    model = stepfit.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    pairs = grain.MapDataset.source(IMAGES).map(lambda x: (layers.CenterCrop(2, 2)(x), 1.0))
    assert "loss" in model.fit(pairs.batch(3), verbose=0).history


class Pictures(torch.utils.data.Dataset):
    """A dataset that prepares each image as it is asked for."""

    def __init__(self, layer):
        self.layer = layer

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, i):
        return np.asarray(self.layer(IMAGES[i])), i


def test_torch_datasets():
    loader = torch.utils.data.DataLoader(Pictures(layers.CenterCrop(4, 4)), batch_size=4)
    found = [(tuple(x.shape), y.tolist()) for x, y in loader]
    assert found == [((4, 4, 4, 3), [0, 1, 2, 3]), ((2, 4, 4, 3), [4, 5])]


ERRORS = [
    (lambda layer: tf.data.Dataset.zip(dataset(), dataset()).map(layer),
     "CenterCrop 'crop' call: expected one element of the dataset, found 2; write "
     "dataset.map(lambda x, y: (layer(x), y))."),
    (lambda layer: tf.data.Dataset.from_tensors(tf.RaggedTensor.from_tensor(IMAGES)).map(layer),
     "CenterCrop 'crop' call: expected dense tensors, found a RaggedTensor; call .to_tensor() on "
     "it."),
    (lambda layer: dataset().map(lambda x: tf.numpy_function(np.copy, [x], tf.uint8)).map(layer),
     "CenterCrop 'crop' call: expected tensors of known rank, found one of unknown rank; call "
     ".ensure_shape or .set_shape on it first."),
]  # fmt: skip


@pytest.mark.parametrize("use, text", ERRORS, ids=["two", "ragged", "rank"])
def test_error_texts(use, text):
    with pytest.raises((ValueError, TypeError)) as caught:
        use(layers.CenterCrop(4, 4, name="crop"))
    assert text in str(caught.value)
