"""Single images: reading, writing, resizing, and Pillow's images as arrays and back."""

import io
import os
import pathlib
import warnings
from typing import Any

import numpy as np

from stepfit.core import config, errors
from stepfit.ops import image as image_ops
from stepfit.ops.resampling import crop_to_ratio
from stepfit.utils import optional

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_GRAYS = ("L", "I;16", "I")  # one channel already, of whatever depth
_FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(where):
    """Return the module `PIL.Image`; `where` is what needs it."""
    return optional.load("PIL.Image", where, "images")


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Any:
    """Turn an array into a Pillow image.

    Args:
        x: array ``(height, width, channels)``, or channels first; 1, 3 or 4 channels.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
        scale: whether values are stretched to the range from 0 to 255.
        dtype: dtype to compute in; default `config.floatx()`.

    Returns:
        `PIL.Image.Image` of mode "L", "RGB" or "RGBA"; "I" for grey values above 255.

    >>> import numpy as np, stepfit as keras
    >>> keras.utils.array_to_img(np.array([[[0.0], [0.5], [1.0]]])).getpixel((1, 0))
    127
    """
    module = pillow("array_to_img")
    data_format = config.standardize_data_format(data_format)
    x = np.asarray(x, dtype or config.floatx())
    channels = x.shape[-1 if data_format == "channels_last" else 0] if x.ndim == 3 else 0
    if channels not in (1, 3, 4):
        expected = "(height, width, channels) with 1, 3 or 4 channels"
        if data_format == "channels_first":
            expected = "(channels, height, width) with 1, 3 or 4 channels"
        raise errors.bad_value("array_to_img(x)", expected, f"shape {x.shape}")
    if data_format == "channels_first":
        x = x.transpose(1, 2, 0)
    if scale:
        x = x - x.min()
        top = x.max()
        x = (x / top if top else x) * 255
    if channels > 1:
        return module.fromarray(x.astype("uint8"))
    return module.fromarray(x[..., 0].astype("int32" if x.max() > 255 else "uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """Turn a Pillow image into an array of three axes.

    Args:
        img: `PIL.Image.Image`, or an array of two or three axes.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
        dtype: dtype; default `config.floatx()`.

    Returns:
        Array ``(height, width, channels)``, or channels first.

    >>> import numpy as np, stepfit as keras
    >>> keras.utils.img_to_array(np.zeros((2, 3), "uint8")).shape
    (2, 3, 1)
    """
    data_format = config.standardize_data_format(data_format)
    x = np.asarray(img, dtype or config.floatx())
    if x.ndim not in (2, 3):
        raise errors.bad_value("img_to_array(img)", "two or three axes", f"shape {x.shape}")
    if x.ndim == 2:
        x = x[..., None]
    return x.transpose(2, 0, 1) if data_format == "channels_first" else x


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array to an image file.

    Args:
        path: path, or a file open for writing bytes.
        x: array, as in `array_to_img`.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
        file_format: name of the format; default by the path's suffix.
        scale: whether values are stretched to the range from 0 to 255.
        kwargs: options of `PIL.Image.Image.save`.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = pathlib.Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    img = array_to_img(x, data_format, scale)
    if img.mode == "RGBA" and file_format == "jpeg":
        text = errors.message("save_img(x)", "3 channels for a JPEG", "4", "the fourth is dropped")
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
        img = img.convert("RGB")
    img.save(path, format=file_format or None, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Read an image file.

    Args:
        path: path, or a file open for reading bytes.
        color_mode: "rgb", "rgba" or "grayscale" (16- and 32-bit grey values stay).
        target_size: ``(height, width)`` to bring it to, or None.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: whether the middle is cut out first, so that nothing is distorted.

    Returns:
        `PIL.Image.Image`.

    >>> import io, numpy as np, stepfit as keras
    >>> file = io.BytesIO()
    >>> keras.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
    >>> keras.utils.load_img(file, target_size=(2, 3)).size
    (3, 2)
    """
    module = pillow("load_img")
    if not isinstance(path, (str, bytes, os.PathLike)) and not hasattr(path, "read"):
        raise errors.bad_type("load_img(path)", "a path or an open file", path)
    if color_mode not in MODES:
        raise errors.unknown_name("load_img(color_mode)", "color mode", color_mode, MODES)
    if interpolation not in _FILTERS:
        kind = "interpolation"
        raise errors.unknown_name("load_img(interpolation)", kind, interpolation, _FILTERS)
    img = in_mode(module.open(path), MODES[color_mode])
    img.load()
    if target_size is None:
        return img
    height, width = target_size
    if img.size == (width, height):
        return img
    box = None
    if keep_aspect_ratio:
        top, left, rows, columns = crop_to_ratio(img.size[1], img.size[0], height, width)
        box = (left, top, left + columns, top + rows)
    resample = getattr(module.Resampling, interpolation.upper())
    return img.resize((width, height), resample, box=box)


def in_mode(img, mode):
    """Return a Pillow image in a mode; grey values of any depth stay as they are."""
    if img.mode == mode or (mode == "L" and img.mode in _GRAYS):
        return img
    return img.convert(mode)


def smart_resize(
    x: Any,
    size: Any,
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> Any:
    """Bring images to another size without distortion: cut out the middle, then resize.

    Args:
        x: array ``(height, width, channels)``, or a batch of them, or channels first.
        size: ``(height, width)``.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".

    Returns:
        NumPy array for a NumPy array, else a JAX array.

    >>> import numpy as np, stepfit as keras
    >>> keras.preprocessing.image.smart_resize(np.zeros((8, 4, 3)), (2, 2)).shape
    (2, 2, 3)
    """
    if kwargs:
        known = ("x", "size", "interpolation", "data_format")
        raise errors.unknown_argument("smart_resize(...)", next(iter(kwargs)), known)
    if np.ndim(x) not in (3, 4):
        expected = "an image or a batch of them, 3 or 4 axes"
        raise errors.bad_value("smart_resize(x)", expected, f"shape {np.shape(x)}")
    found = image_ops.resize(
        x, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return np.asarray(found) if isinstance(x, np.ndarray) else found


def read_image(path, mode):
    """Return an image file as a float32 array ``(height, width, channels)``.

    Args:
        path: path, or bytes of the file.
        mode: "L", "RGB" or "RGBA".
    """
    file = io.BytesIO(path) if isinstance(path, bytes) else path
    with pillow("image_dataset_from_directory").open(file) as img:
        x = np.asarray(in_mode(img, mode), "float32")
    return x[..., None] if x.ndim == 2 else x
