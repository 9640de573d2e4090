"""Every image op of the table against real Keras: values, dtypes, gradients, symbolic shapes."""

import functools
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import stepfit
from stepfit.core.symbolic import KerasTensor
from stepfit.ops import image
from tests.expect import refused
from tests.parity.image_ops import BATCH, BYTES, FIRST, ONE, PLANE, ROWS, TURN, VOLUME


def label(row):
    name, args, kwargs = row
    shapes = [f"{a.dtype}{a.shape}" if isinstance(a, np.ndarray) else str(a) for a in args]
    return f"{name}({','.join(shapes + [f'{k}={v}' for k, v in kwargs.items()])})".replace(" ", "")


each_row = pytest.mark.parametrize("index", range(len(ROWS)), ids=[label(r) for r in ROWS])
CHUNK = 32
FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def is_first_of_its_kind(row):
    """Gradients are compared for two rows per op and interpolation: they are slow to compile."""
    name, (x, *_), kwargs = row
    kind = [r for r in ROWS if r[0] == name and r[1][0].dtype == np.float32
            and r[2].get("interpolation") == kwargs.get("interpolation")]  # fmt: skip
    return x.dtype == np.float32 and any(row is r for r in kind[:2])


def value_of(module, row, x):
    """The op's result, and for some rows its gradient."""
    name, (_, *rest), kwargs = row
    function = lambda x: getattr(module, name)(x, *rest, **kwargs)
    y = function(x)
    if not is_first_of_its_kind(row):
        return y, None
    weights = jnp.cos(jnp.arange(y.size, dtype="float32")).reshape(y.shape)
    return y, jax.grad(lambda x: jnp.sum(weights * function(x)))(x)


@functools.cache
def run_chunk(number):
    rows = ROWS[number * CHUNK : (number + 1) * CHUNK]

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def everything(firsts):
        return [
            [value_of(module, row, x) for module in (image, keras.ops.image)]
            for row, x in zip(rows, firsts, strict=True)
        ]

    return everything([jnp.asarray(row[1][0]) for row in rows])


@each_row
def test_values_dtypes_and_gradients_are_keras(index):
    (ours, gradient), (theirs, expected) = run_chunk(index // CHUNK)[index % CHUNK]
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    close = 2e-3 if ours.dtype == np.float16 else 2e-5
    np.testing.assert_allclose(ours, theirs, rtol=close, atol=close)
    if gradient is not None:
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@each_row
def test_shapes_are_inferred_with_an_unknown_batch(index):
    name, (first, *rest), kwargs = ROWS[index]
    first = jax.ShapeDtypeStruct(first.shape, first.dtype)
    expected = jax.eval_shape(lambda x: getattr(image, name)(x, *rest, **kwargs), first)
    batched = first.shape[0] == 2 and first.ndim in (4, 5) and name != "scale_and_translate"
    if batched:  # what goes with each image has to be one for all, or unknown in number too
        first = KerasTensor((None, *first.shape[1:]), first.dtype)
        rest = [KerasTensor((None, *a.shape[1:])) if np.ndim(a) > 1 else a for a in rest]
    else:
        first = KerasTensor(first.shape, first.dtype)
    found = getattr(image, name)(first, *rest, **kwargs)
    batch = (None,) if batched else expected.shape[:1]
    assert found.shape == batch + expected.shape[1:] and found.dtype == expected.dtype.name


@pytest.mark.parametrize("name", image.__all__)
def test_signature_is_keras(name):
    def read(module):
        return [(p.name, p.default) for p in
                inspect.signature(getattr(module, name)).parameters.values()]  # fmt: skip

    assert read(image) == read(keras.ops.image)
    assert getattr(stepfit.ops.image, name) is getattr(image, name)


def test_every_image_op_of_keras_is_here():
    theirs = {n for n in dir(keras.ops.image) if not n.startswith("_")}
    assert theirs == set(image.__all__)
    assert set(image.__all__) == {row[0] for row in ROWS} | {"elastic_transform"}


@pytest.mark.parametrize("x, data_format", [(BATCH, "channels_last"), (FIRST, "channels_first"),
                                            (ONE, "channels_last")])  # fmt: skip
def test_elastic_transform_with_the_same_state_is_keras(x, data_format):
    seeds = stepfit.random.SeedGenerator(3), keras.random.SeedGenerator(3)
    how = {"alpha": 3.0, "sigma": 0.9, "data_format": data_format}
    ours, theirs = (
        module.elastic_transform(x, seed=seed, **how)
        for module, seed in zip((image, keras.ops.image), seeds, strict=True)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not np.allclose(ours, x)


def test_one_transform_serves_a_batch():
    np.testing.assert_array_equal(
        image.affine_transform(BATCH, TURN)[1], image.affine_transform(BATCH[1], TURN)
    )


def test_the_similarity_of_integer_images_is_a_float():
    both = (BYTES, BYTES.astype("float32"))
    found = [image.ssim(x, 255 - x, max_val=255, filter_size=3) for x in both]
    assert found[0].dtype == "float32"
    np.testing.assert_array_equal(*found)


def test_crop_after_pad_gives_the_image_back():
    padded = image.pad_images(BYTES, 1, 2, 3, 4)
    np.testing.assert_array_equal(image.crop_images(padded, 1, 2, 3, 4), BYTES)


def test_hsv_goes_there_and_back():
    there = image.rgb_to_hsv(BATCH)
    np.testing.assert_allclose(image.hsv_to_rgb(there), BATCH, atol=1e-6)


ERRORS = [
    (lambda: image.resize(PLANE, (2, 2)),
     "resize(images): expected an image (3 axes) or a batch of images (4 axes), found "
     "float32[6,5]."),
    (lambda: image.resize(BATCH, 3),
     "resize(size): expected two positive ints (height, width), found (3,)."),
    (lambda: image.resize(BATCH, (3, 0)),
     "resize(size): expected two positive ints (height, width), found (3, 0)."),
    (lambda: image.resize(BATCH, (2, 2), "bilinaer"),
     "resize(interpolation): expected the name of an interpolation, found 'bilinaer'; did you mean "
     "'bilinear'?"),
    (lambda: image.resize(BATCH, (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
     "resize(crop_to_aspect_ratio, pad_to_aspect_ratio): expected at most one of them, found "
     "both."),
    (lambda: image.resize(BATCH, (2, 2), fill_mode="reflect"),
     "resize(fill_mode): expected the name of a fill mode, found 'reflect'; known names: "
     "'constant'."),
    (lambda: image.rgb_to_hsv(BYTES),
     "rgb_to_hsv(images): expected a float dtype, found uint8[2,6,5,3]; divide by 255 first."),
    (lambda: image.rgb_to_grayscale(FIRST),
     "rgb_to_grayscale(images): expected 3 or 1 channels on axis -1, found float32[2,3,6,5]; pass "
     "data_format= where the channels are on another axis."),
    (lambda: image.pad_images(BATCH, 1, 1, 1),
     "pad_images(left_padding, right_padding, target_width): expected exactly two of the three, "
     "found 1."),
    (lambda: image.pad_images(BATCH, -1, 1, 1, 1),
     "pad_images(top_padding): expected an int of at least 0, found -1."),
    (lambda: image.pad_images(BATCH, 1, 0, target_height=6, target_width=5),
     "pad_images(bottom_padding): expected margins that fit the image, found -1 for "
     "bottom_padding, which the others leave."),
    (lambda: image.crop_images(BATCH, 4, 0, 4, 0),
     "crop_images(target_height): expected margins that fit the image, found -2 for "
     "target_height, which the others leave."),
    (lambda: image.affine_transform(BATCH, TURN[:6]),
     "affine_transform(transform): expected shape (8,) or (batch, 8), found float32[6]."),
    (lambda: image.affine_transform(BATCH, TURN, fill_mode="reflekt"),
     "affine_transform(fill_mode): expected the name of a fill mode, found 'reflekt'; did you mean "
     "'reflect'?"),
    (lambda: image.perspective_transform(ONE, np.zeros((4, 2)), np.zeros((3, 2))),
     "perspective_transform(end_points): expected shape (4, 2) or (batch, 4, 2), found "
     "float32[3,2]."),
    (lambda: image.map_coordinates(PLANE, np.zeros((3, 4)), 1),
     "map_coordinates(coordinates): expected shape (2, ...), a row for each axis, found "
     "float32[3,4]."),
    (lambda: image.map_coordinates(PLANE, np.zeros((2, 4)), 2),
     "map_coordinates(order): expected 0 or 1, found 2."),
    (lambda: image.extract_patches(BATCH, (2,)),
     "extract_patches(size): expected an int, or 2 or 3 ints, found (2,)."),
    (lambda: image.extract_patches_3d(VOLUME, (2, 2)),
     "extract_patches_3d(size): expected an int, or 3 ints, found (2, 2)."),
    (lambda: image.extract_patches(PLANE, 2),
     "extract_patches(images): expected 3 axes, or 4 for a batch, found float32[6,5]."),
    (lambda: image.sobel_edges(ONE),
     "sobel_edges(images): expected a batch of images (4 axes), found float32[6,5,3]."),
    (lambda: image.ssim(BATCH, BATCH),
     "ssim(filter_size): expected at most the images' height and width, found 11 for "
     "float32[2,6,5,3]; pass a smaller filter_size."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] for _, t in ERRORS])
def test_error_texts(call, text):
    refused(call, ValueError, text)
