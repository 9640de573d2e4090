"""Image layers: the same transformation as real Keras's, draws, and what belongs to an image."""

import copy
import functools
import os
import pickle
import threading

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import stepfit
from stepfit import layers
from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.image_base import RandomImageLayer

rng = np.random.default_rng(0)
IMAGES = rng.uniform(0, 255, (3, 8, 7, 3)).astype("float32")
MASKS = rng.integers(0, 3, (3, 8, 7, 1)).astype("uint8")
BOXES = np.array(
    [[[1, 2, 4, 6], [0, 0, 7, 8]], [[2, 1, 5, 4], [3, 3, 3.5, 6]], [[0, 0, 2, 2], [5, 6, 7, 8]]],
    "float32",
)
LABELS = np.arange(6).reshape(3, 2)
NONE = np.concatenate([BOXES[:2], np.zeros((1, 2, 4), "float32")])

FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

# Class, settings, and the box formats in which Keras's own numbers are right.
ALL = box_maths.FORMATS
ROWS = [
    ("RandomFlip", {}, ("xyxy", "center_xywh")),
    ("RandomFlip", {"mode": "vertical"}, ("xyxy",)),
    ("RandomFlip", {"mode": "horizontal"}, ("rel_xywh",)),
    ("RandomRotation", {"factor": 0.3}, ("xyxy",)),
    ("RandomRotation", {"factor": (-0.1, 0.4), "fill_mode": "constant", "fill_value": 9.0,
                        "interpolation": "nearest"}, ("xyxy",)),
    ("RandomZoom", {"height_factor": 0.4}, ("xyxy", "rel_yxyx")),
    ("RandomZoom", {"height_factor": 0.4, "width_factor": (-0.3, 0.2), "fill_mode": "wrap"},
     ("center_yxhw",)),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (0.1, 0.2)},
     ("xyxy", "rel_xyxy")),
    ("RandomContrast", {"factor": 0.5}, ("xyxy",)),
    ("RandomContrast", {"factor": (0.2, 0.9), "value_range": (0, 200)}, ("xyxy",)),
    ("RandomBrightness", {"factor": (-0.2, 0.6)}, ("xyxy",)),
    ("RandomCrop", {"height": 4, "width": 5}, ()),
    ("CenterCrop", {"height": 4, "width": 5}, ("xyxy", "rel_xyxy")),
    ("CenterCrop", {"height": 12, "width": 5}, ("xywh",)),
    *[("Resizing", {"height": h, "width": w, how: True}, ("xyxy", "rel_center_xywh"))
      for h, w in ((4, 9), (13, 5))
      for how in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")],
]  # fmt: skip
IDS = [f"{cls}({','.join(f'{k}={v}' for k, v in given.items())})" for cls, given, _ in ROWS]


def both(cls, kwargs, **more):
    return [getattr(m, cls)(**kwargs, **more) for m in (layers, keras.layers)]


@functools.cache
def run_all():
    """What both libraries make of images, masks and boxes, given the same transformation."""

    def everything(images, masks, boxes, labels):
        found = []
        for i, (cls, kwargs, formats) in enumerate(ROWS):
            pair = both(cls, kwargs)
            drawn = pair[0].get_random_transformation(images, seed=i)
            given = (2, 1) if cls == "RandomCrop" else drawn  # Keras cannot trace its own
            moved = [
                (layer.transform_images(images, given),
                 layer.transform_segmentation_masks(masks, given)) for layer in pair
            ]  # fmt: skip
            for fmt in formats:
                for j, layer in enumerate(both(cls, kwargs, bounding_box_format=fmt)):
                    given_boxes = box_maths.convert(boxes, "xyxy", fmt, 8, 7)
                    moved[j] += (layer.transform_bounding_boxes(
                        {"boxes": given_boxes, "labels": labels}, drawn),)  # fmt: skip
            turned = getattr(layers, cls)(**kwargs, data_format="channels_first")
            first = turned.transform_images(jnp.moveaxis(images, -1, 1), given)
            found.append((*moved, jnp.moveaxis(first, 1, -1)))
        return found

    return jax.jit(everything, compiler_options=FAST_COMPILE)(IMAGES, MASKS, NONE, LABELS)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=IDS)
def test_the_same_transformation_gives_keras_numbers(number):
    ours, theirs, channels_first = run_all()[number]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(channels_first, ours[0], rtol=1e-4, atol=1e-3)
    assert ours[0].dtype == theirs[0].dtype and ours[1].dtype == "uint8"
    if ROWS[number][:2] != ("CenterCrop", {"height": 12, "width": 5}):  # Keras blurs its masks
        np.testing.assert_array_equal(ours[1], theirs[1])
    for mine, other in zip(ours[2:], theirs[2:], strict=True):
        np.testing.assert_allclose(mine["boxes"], other["boxes"], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(mine["labels"], other["labels"])


@pytest.mark.parametrize("fmt", ALL)
def test_box_formats_are_keras(fmt):
    convert = keras.utils.bounding_boxes.convert_format
    theirs = convert(BOXES, "xyxy", fmt, height=8, width=7)
    np.testing.assert_allclose(box_maths.convert(BOXES, "xyxy", fmt, 8, 7), theirs, rtol=1e-6)
    back = box_maths.convert(theirs, fmt, "xyxy", 8, 7)
    np.testing.assert_allclose(back, BOXES, rtol=1e-6, atol=1e-6)


DRAWS = [
    ("RandomRotation", {"factor": 0.25}, "angle", -90, 90),
    ("RandomRotation", {"factor": (0.1, 0.2)}, "angle", 36, 72),
    ("RandomZoom", {"height_factor": 0.5, "width_factor": (-0.2, 0.1)}, "height_zoom", 0.5, 1.5),
    ("RandomZoom", {"height_factor": 0.5, "width_factor": (-0.2, 0.1)}, "width_zoom", 0.8, 1.1),
    ("RandomTranslation", {"height_factor": 0, "width_factor": 0.5}, "translations", -2, 2),
    ("RandomContrast", {"factor": (0.4, 0.8)}, "contrast_factor", 0.6, 1.8),
    ("RandomContrast", {"factor": 0.4}, "contrast_factor", 1.0, 1.4),
    ("RandomBrightness", {"factor": 0.5, "value_range": (0, 2)}, "rgb_delta", -1, 1),
]


@pytest.mark.parametrize("cls, kwargs, what, low, high", DRAWS)
def test_draws_fill_their_range_evenly(cls, kwargs, what, low, high):
    layer = getattr(layers, cls)(seed=3, **kwargs)
    many = jax.ShapeDtypeStruct((4000, 4, 4, 1), "float32")
    drawn = np.asarray(layer.get_random_transformation(many)[what])
    drawn = drawn[:, 0] if what == "translations" else drawn.ravel()
    assert drawn.shape == (4000,) and drawn.min() >= low and drawn.max() <= high
    counts = np.histogram(drawn, 4, (low, high))[0]
    assert abs(counts - 1000).max() < 150  # five standard deviations
    again = getattr(layers, cls)(seed=3, **kwargs).get_random_transformation(many)[what]
    np.testing.assert_array_equal(np.ravel(again), np.ravel(layer_first(cls, kwargs, what, many)))


def layer_first(cls, kwargs, what, many):
    theirs = getattr(keras.layers, cls)(seed=3, **kwargs)
    return theirs.get_random_transformation(np.zeros(many.shape, "float32"))[what]


def test_flips_are_even_and_crops_reach_every_place():
    flips = layers.RandomFlip(seed=1).get_random_transformation(np.zeros((4000, 1, 1, 1)))["flips"]
    assert flips.shape == (4000, 1, 1, 1) and abs(int(flips.sum()) - 2000) < 160
    crop = layers.RandomCrop(3, 2, seed=1)
    found = [crop.get_random_transformation(np.zeros((5, 2, 1))) for _ in range(60)]
    assert {(int(t["top"]), int(t["left"])) for t in found} == {(0, 0), (1, 0), (2, 0)}


RANDOM = {
    "RandomFlip": {}, "RandomRotation": {"factor": 0.4}, "RandomZoom": {"height_factor": 0.5},
    "RandomTranslation": {"height_factor": 0.4, "width_factor": 0.4},
    "RandomContrast": {"factor": 0.9}, "RandomBrightness": {"factor": 0.4},
}  # fmt: skip


@pytest.mark.parametrize("cls", RANDOM)
def test_a_random_layer_alone(cls):
    same = np.repeat(IMAGES[:1], 6, axis=0)
    first, second = (getattr(layers, cls)(seed=5, **RANDOM[cls]) for _ in range(2))
    y = np.asarray(first(same))  # training is on unless something says otherwise
    np.testing.assert_array_equal(y, second(same))
    assert len(np.unique(y.reshape(6, -1), axis=0)) == (2 if cls == "RandomFlip" else 6)
    assert not np.array_equal(y, first(same))
    np.testing.assert_array_equal(first(same, training=False), same)
    spec = first(stepfit.Input((None, 7, 3), dtype="uint8"))
    assert spec.shape == (None, None, 7, 3) and spec.dtype == "float32"
    nothing = {k: 0 for k in RANDOM[cls] if k.endswith("factor")}
    if nothing:
        still = getattr(layers, cls)(**nothing)
        np.testing.assert_allclose(still(same, training=True), same, rtol=1e-5)


def test_random_crop_comes_to_its_size_in_inference_too():
    crop = layers.RandomCrop(4, 6, seed=1)
    assert crop(IMAGES, training=True).shape == crop(IMAGES, training=False).shape == (3, 4, 6, 3)
    assert layers.RandomCrop(9, 9)(IMAGES, training=True).shape == (3, 9, 9, 3)
    whole = layers.RandomCrop(8, 7)
    for training in (True, False):
        np.testing.assert_array_equal(whole(IMAGES, training=training), IMAGES)
    parts = {np.asarray(crop(IMAGES)).tobytes() for _ in range(20)}
    assert len(parts) > 5
    rows = IMAGES[:, :, :6]
    part = crop(rows)
    assert any(np.array_equal(part, rows[:, top : top + 4]) for top in range(5))


def data(**more):
    boxes = {"boxes": BOXES, "labels": LABELS}
    return {"images": IMAGES, "bounding_boxes": boxes, "labels": np.array([0.25, 1, 2]),
            "segmentation_masks": MASKS, "names": ["a", "b", "c"], **more}  # fmt: skip


@pytest.mark.parametrize("fit", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_one_image_is_resized_like_a_batch(fit, how, data_format):
    layer = layers.Resizing(5, 9, how, data_format=data_format, bounding_box_format="xyxy", **fit)
    for kind in ("uint8", "float32"):
        images = IMAGES.astype(kind)
        images = images.transpose(0, 3, 1, 2) if data_format == "channels_first" else images
        one, many = layer(images[0]), layer(images[:1])[0]
        assert one.dtype == many.dtype
        # a half may be rounded either way
        np.testing.assert_allclose(one, many, atol=1 if kind == "uint8" else 1e-3)
    boxes = {"boxes": BOXES[0], "labels": LABELS[0]}
    masks = images[0].astype("uint8")
    found = layer({"images": images[0], "bounding_boxes": boxes, "segmentation_masks": masks})
    assert found["bounding_boxes"]["boxes"].shape == (2, 4)
    assert found["segmentation_masks"].dtype == "uint8"


def test_single_images_of_many_sizes_are_resized_without_compiling():
    compiled = []
    record = lambda event, seconds, fun_name="", **kwargs: compiled.append(fun_name)
    jax.monitoring.register_event_duration_secs_listener(record)
    try:
        for antialias in (False, True):
            layer = layers.Resizing(4, 4, antialias=antialias)
            for size in (10, 11):
                image = np.full((size, size + 1, 3), 7, "uint8")
                assert (np.asarray(layer(image)) == 7).all()
            assert any("lambda" in name for name in compiled) is antialias
    finally:
        jax.monitoring.unregister_event_duration_listener(record)


def test_what_belongs_to_an_image_moves_along():
    layer = layers.RandomFlip("horizontal", seed=7, bounding_box_format="xyxy", dtype="bfloat16")
    given = data()
    found = layer(given, training=True)
    assert given["images"] is IMAGES and list(found) == list(given)
    flipped = [not np.array_equal(a, b) for a, b in zip(found["segmentation_masks"], MASKS,
                                                        strict=True)]  # fmt: skip
    assert any(flipped) and not all(flipped)
    for i, flip in enumerate(flipped):
        expected = MASKS[i, :, ::-1] if flip else MASKS[i]
        np.testing.assert_array_equal(found["segmentation_masks"][i], expected)
        x1, y1, x2, y2 = BOXES[i].T
        expected = np.stack([7 - x2, y1, 7 - x1, y2], -1) if flip else BOXES[i]
        np.testing.assert_allclose(found["bounding_boxes"]["boxes"][i], expected)
        one = {k: v[i] for k, v in data().items() if k not in ("names", "bounding_boxes")}
        one["bounding_boxes"] = {k: v[i] for k, v in given["bounding_boxes"].items()}
        alone = layers.Resizing(4, 5, bounding_box_format="xyxy")(one)
        assert {k: np.shape(v) for k, v in alone.items() if k != "bounding_boxes"} == {
            "images": (4, 5, 3), "labels": (), "segmentation_masks": (4, 5, 1)}  # fmt: skip
        assert alone["bounding_boxes"]["boxes"].shape == (2, 4)
    assert found["images"].dtype == "bfloat16" and found["labels"].dtype == "float32"
    assert found["names"] == ["a", "b", "c"] and found["labels"].tolist() == [0.25, 1, 2]


def test_rotated_boxes_in_every_format_are_the_same_boxes():
    def everything(boxes):
        found = []
        for fmt in ALL:
            layer = layers.RandomRotation(0.1, bounding_box_format=fmt)
            drawn = layer.get_random_transformation(IMAGES, seed=3)
            given = {"boxes": box_maths.convert(boxes, "xyxy", fmt, 8, 7), "labels": LABELS}
            moved = layer.transform_bounding_boxes(given, drawn)
            found.append(box_maths.convert(moved["boxes"], fmt, "xyxy", 8, 7))
        return found

    found = jax.jit(everything, compiler_options=FAST_COMPILE)(BOXES)
    assert not np.allclose(found[0], BOXES)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-4)


def test_boxes_follow_a_crop_and_those_outside_lose_their_label():
    crop = layers.RandomCrop(4, 4, bounding_box_format="xyxy")
    boxes = {"boxes": jnp.asarray(BOXES[:1]), "labels": jnp.asarray([[1, 2]])}
    moved = crop.transform_bounding_boxes(boxes, (2, 3))  # top, left
    np.testing.assert_allclose(moved["boxes"], [[[0, 0, 1, 4], [0, 0, 4, 4]]])
    outside = crop.transform_bounding_boxes(boxes, (6, 0))
    assert outside["labels"].tolist() == [[-1, 2]]


def test_lists_of_boxes_are_filled_up():
    ragged = {"boxes": [[[0, 0, 2, 2]], [[0, 0, 1, 1], [2, 2, 4, 4]], []],
              "labels": [[5], [6, 7], []]}  # fmt: skip
    layer = layers.Resizing(16, 14, bounding_box_format="xyxy")
    found = layer({"images": IMAGES, "bounding_boxes": ragged})["bounding_boxes"]
    assert found["boxes"].shape == (3, 2, 4) and found["boxes"][0, 0].tolist() == [0, 0, 4, 4]
    assert found["labels"].tolist() == [[5, -1], [6, 7], [-1, -1]]


def test_settings_and_copies():
    layer = layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
    x = np.zeros((2, 2, 1), "float32")
    assert layer(x).max() == 0.5
    layer.factor = (0.25, 0.25)  # the compiled call is made anew
    assert layer(x).max() == 0.25
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other(x).max() == 0.25
        other.factor = (0.75, 0.75)
        assert other(x).max() == 0.75 and layer(x).max() == 0.25
    config = layers.RandomZoom(0.2, bounding_box_format="XYXY", seed=3).get_config()
    again = layers.RandomZoom.from_config(config)
    assert again.bounding_box_format == "xyxy" and again.get_config() == config


def test_threads_draw_different_numbers():
    layer, found = layers.RandomBrightness(0.5, value_range=(-1, 1), seed=1), []
    x = np.zeros((1, 1, 1), "float32")
    layer(x)
    work = lambda: found.extend(float(layer(x)[0, 0, 0]) for _ in range(40))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 160


def trained(seed):
    stepfit.utils.set_random_seed(seed)
    flip = layers.RandomFlip()
    model = stepfit.Sequential([
        stepfit.Input((8, 7, 3)), layers.Rescaling(1 / 255), flip, layers.RandomRotation(0.1),
        layers.RandomCrop(4, 4), layers.Flatten(), layers.Dense(1),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    x = np.repeat(IMAGES, 4, axis=0)
    model.fit(x, np.ones((12, 1)), batch_size=3, epochs=2, verbose=0)
    return model.get_weights()[-2], flip.generator.state.numpy()[1], model.predict(x, verbose=0)


def test_in_fused_fit():
    first, again, other = trained(1), trained(1), trained(2)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert first[1] == 8  # one key for each step
    np.testing.assert_array_equal(first[2], again[2])


class Tinted(RandomImageLayer):
    """A layer as a user writes it, with two draws from one seed."""

    def get_random_transformation(self, data, training=True, seed=None):
        seed = self.generator if seed is None else seed
        return [stepfit.random.uniform((), seed=seed) for _ in range(2)]

    def transform_images(self, images, transformation=None, training=True):
        return self._cast(images) + jnp.stack(transformation)


def test_a_layer_of_ones_own_draws_numbers_of_its_own():
    tint = Tinted(seed=1)
    a, b = np.asarray(tint(np.zeros((1, 1, 2))))[0, 0]
    assert a != b and not np.array_equal(tint(np.zeros((1, 1, 2)))[0, 0], [a, b])


ERRORS = [
    (lambda: layers.RandomRotation(1.5),
     "RandomRotation(factor): expected numbers in [-1, 1], found 1.5."),
    (lambda: layers.RandomRotation("a"),
     "RandomRotation(factor): expected a number or a pair of numbers, found 'a'."),
    (lambda: layers.RandomZoom(-1.0),
     "RandomZoom(height_factor): expected numbers in (-1, 1], found -1.0."),
    (lambda: layers.RandomTranslation(0.1, (0.5, 1.1)),
     "RandomTranslation(width_factor): expected numbers in [-1, 1], found (0.5, 1.1)."),
    (lambda: layers.RandomContrast(-0.1),
     "RandomContrast(factor): expected numbers in [0, 1], found -0.1."),
    (lambda: layers.RandomBrightness(0.1, value_range=3),
     "RandomBrightness(value_range): expected a pair of numbers (low, high), found 3."),
    (lambda: layers.RandomFlip("sideways"),
     "RandomFlip(mode): expected the name of a mode, found 'sideways'; known names: 'horizontal', "
     "'horizontal_and_vertical', 'vertical'."),
    (lambda: layers.RandomZoom(0.1, fill_mode="mirror"),
     "RandomZoom(fill_mode): expected the name of a fill mode, found 'mirror'; known names: "
     "'constant', 'nearest', 'reflect', 'wrap'."),
    (lambda: layers.RandomZoom(0.1, interpolation="bicubic"),
     "RandomZoom(interpolation): expected the name of an interpolation, found 'bicubic'; known "
     "names: 'bilinear', 'nearest'."),
    (lambda: layers.Resizing(0, 4), "Resizing(height): expected a positive int, found 0."),
    (lambda: layers.Resizing(4, 4, "cubic"),
     "Resizing(interpolation): expected the name of an interpolation, found 'cubic'; did you mean "
     "'bicubic'?"),
    (lambda: layers.CenterCrop(4, 2.5), "CenterCrop(width): expected a positive int, found 2.5."),
    (lambda: layers.RandomFlip(bounding_box_format="xyyx"),
     "RandomFlip(bounding_box_format): expected the name of a box format, found 'xyyx'; did you "
     "mean 'xyxy'?"),
    (lambda: layers.RandomFlip(name="flip")(np.ones((4, 4))),
     "RandomFlip 'flip' call: expected an image (3 axes) or a batch of images (4 axes), found "
     "float32[4,4]."),
    (lambda: layers.RandomFlip(name="flip")({"image": IMAGES}),
     "RandomFlip 'flip' call: expected a dict with 'images', found dict with keys ['image']."),
    (lambda: layers.RandomFlip(name="flip")(data()),
     "RandomFlip 'flip' bounding_box_format: expected the format of the boxes, found None; make "
     'the layer with bounding_box_format="xyxy", or another format.'),
    (lambda: layers.RandomFlip(name="f", bounding_box_format="xyxy")(data(bounding_boxes=BOXES)),
     "RandomFlip 'f' bounding_boxes: expected a dict with 'boxes' and 'labels', found "
     "float32[3,2,4]."),
    (lambda: layers.RandomFlip(name="f", bounding_box_format="xyxy")(
        data(bounding_boxes={"boxes": BOXES, "labels": LABELS[:2]})),
     "RandomFlip 'f' bounding_boxes['labels']: expected shape (3, 2), a label for each box, found "
     "int32[2,2]."),
]  # fmt: skip


@pytest.mark.parametrize("make, text", ERRORS, ids=[t.split(":")[0] for _, t in ERRORS])
def test_error_texts(make, text):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert str(caught.value) == text
