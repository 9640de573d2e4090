"""Reading, writing and resizing single images, beside Keras's."""

import io
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from stepfit import config
from stepfit import utils as ours
from stepfit.preprocessing import image
from tests.expect import refused

RNG = np.random.RandomState(0)
ARRAYS = {
    "rgb": RNG.rand(4, 5, 3),
    "rgba": RNG.rand(4, 5, 4) * 300,
    "grey": RNG.rand(4, 5, 1),
    "deep": RNG.rand(4, 5, 1) * 1000,
    "flat": np.zeros((2, 2, 3)),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_to_images_and_back_is_that_of_keras(name, scale, data_format):
    x = ARRAYS[name]
    if data_format == "channels_first":
        x = x.transpose(2, 0, 1)
    found, theirs = (m.array_to_img(x, data_format, scale) for m in (ours, keras.utils))
    assert found.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(theirs))
    back, theirs = (m.img_to_array(theirs, data_format, "int32") for m in (ours, keras.utils))
    assert back.dtype == theirs.dtype
    np.testing.assert_array_equal(back, theirs)


FILES = {
    "rgb.png": RNG.randint(0, 256, (9, 12, 3)).astype("uint8"),
    "rgba.png": RNG.randint(0, 256, (12, 9, 4)).astype("uint8"),
    "grey.bmp": RNG.randint(0, 256, (8, 8)).astype("uint8"),
    "deep.png": RNG.randint(0, 2**16, (6, 7)).astype("uint16"),
}
OPTIONS = [
    {}, {"color_mode": "grayscale"}, {"color_mode": "rgba", "target_size": (5, 4)},
    {"target_size": (5, 4), "interpolation": "lanczos", "keep_aspect_ratio": True},
    {"target_size": (7, 3), "interpolation": "bilinear", "keep_aspect_ratio": True},
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_reading_is_that_of_keras(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(FILES[name]).save(path)
    for options in OPTIONS:
        for source in (path, str(path), io.BytesIO(path.read_bytes())):
            found, theirs = (m.load_img(source, **options) for m in (ours, keras.utils))
            assert found.mode == theirs.mode
            np.testing.assert_array_equal(np.asarray(found), np.asarray(theirs))


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_writing_is_that_of_keras(tmp_path, name):
    for module, folder in ((ours, tmp_path / "1"), (keras.utils, tmp_path / "2")):
        folder.mkdir()
        module.save_img(folder / name, ARRAYS["rgb"])
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours.save_img(tmp_path / "b.jpg", ARRAYS["rgba"])
    text = "save_img(x): expected 3 channels for a JPEG, found 4; the fourth is dropped."
    assert [str(w.message) for w in caught] == [text]


RESIZED = [((9, 4, 3), (3, 3)), ((4, 9, 3), (2, 5)), ((2, 6, 8, 1), (5, 5))]


@pytest.mark.parametrize(("shape", "size"), RESIZED)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_smart_resize_is_that_of_keras(shape, size, data_format):
    x = RNG.rand(*shape).astype("float32")
    if data_format == "channels_first":
        x = np.moveaxis(x, -1, -3)
    theirs = keras.preprocessing.image.smart_resize(x, size, data_format=data_format)
    found = image.smart_resize(x, size, data_format=data_format)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, theirs, atol=1e-5)


def test_the_format_is_that_of_the_configuration():
    config.set_image_data_format("channels_first")
    try:
        assert ours.img_to_array(np.zeros((2, 3), "uint8")).shape == (1, 2, 3)
    finally:
        config.set_image_data_format("channels_last")


BAD = [
    (lambda: ours.array_to_img(np.ones((2, 2))),
     "array_to_img(x): expected (height, width, channels) with 1, 3 or 4 channels, found shape "
     "(2, 2)."),
    (lambda: ours.img_to_array(np.ones(2)),
     "img_to_array(img): expected two or three axes, found shape (2,)."),
    (lambda: ours.load_img(3), "load_img(path): expected a path or an open file, found 3."),
    (lambda: ours.load_img("a", color_mode="grey"),
     "load_img(color_mode): expected the name of a color mode, found 'grey'; known names: "
     "'grayscale', 'rgb', 'rgba'."),
    (lambda: ours.load_img("a", interpolation="linear"),
     "load_img(interpolation): expected the name of an interpolation, found 'linear'; did you mean "
     "'bilinear'?"),
    (lambda: image.smart_resize(np.ones(3), (2, 2)),
     "smart_resize(x): expected an image or a batch of them, 3 or 4 axes, found shape (3,)."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError), text)
