"""Images in folders, as batches."""

import functools
from typing import Any

import numpy as np

from stepfit.core import config, errors
from stepfit.ops.resampling import INTERPOLATIONS, resize
from stepfit.preprocessing import samples
from stepfit.preprocessing.folder import Folder
from stepfit.preprocessing.image import MODES, pillow, read_image

_WHERE = "image_dataset_from_directory"
_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: list[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return batches of the images in a folder, one subfolder per class.

    Args:
        directory: path.
        labels: "inferred" from the subfolders, None, or a list of ints, by sorted paths.
        label_mode: "int", "categorical" (one-hot), "binary" (0. or 1.), or None.
        class_names: the subfolders, in the order of their numbers; default sorted.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images per batch; None for single images.
        image_size: ``(height, width)`` they are brought to, or one int.
        shuffle: whether files are shuffled, and each pass over the training part anew.
        seed: int that fixes the orders; needed for a shuffled split.
        validation_split: share of the files for validation.
        subset: "training", "validation", or "both" (a list of two datasets).
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        follow_links: whether links to folders are followed.
        crop_to_aspect_ratio: cut the middle out, so that nothing is distorted.
        pad_to_aspect_ratio: add black borders, so that nothing is distorted.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
        format: "tf": a `tf.data.Dataset` if TensorFlow is installed, else as "batches";
            "batches": NumPy batches by number, with `map`, `take`, `skip`; "grain": a
            `grain.IterDataset`.
        verbose: whether to say how many files were found.

    Returns:
        Dataset of `(images, labels)`, images float32 from 0 to 255; without labels of images.
        Attributes `class_names` and `file_paths`.

    >>> import pathlib, tempfile, numpy as np, stepfit as keras
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     keras.utils.save_img(folder / name / "1.png", np.zeros((8, 8, 3)))
    >>> data = keras.utils.image_dataset_from_directory(folder, image_size=(4, 4), format="batches")
    Found 2 files belonging to 2 classes.
    >>> data[0][0].shape, data.class_names
    ((2, 4, 4, 3), ['cat', 'dog'])
    """
    pillow(_WHERE)
    samples.check_format(_WHERE, format)
    if color_mode not in MODES:
        raise errors.unknown_name(f"{_WHERE}(color_mode)", "color mode", color_mode, MODES)
    if interpolation not in INTERPOLATIONS:
        kind = "interpolation"
        where = f"{_WHERE}(interpolation)"
        raise errors.unknown_name(where, kind, interpolation, INTERPOLATIONS)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        where = f"{_WHERE}(crop_to_aspect_ratio, pad_to_aspect_ratio)"
        raise errors.bad_value(where, "at most one of them", "both")
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2:
        expected = "(height, width)"
        raise errors.bad_value(f"{_WHERE}(image_size)", expected, repr(image_size))
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else None
    load = functools.partial(
        load_image, size=size, mode=MODES[color_mode], interpolation=interpolation, fit=fit,
        data_format=config.standardize_data_format(data_format),
    )  # fmt: skip
    folder = Folder(
        _WHERE, directory, labels, label_mode, class_names, _SUFFIXES, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    )  # fmt: skip
    return folder.datasets(load, format=format, batch_size=batch_size, workers=samples.workers())


def load_image(path, size, mode, interpolation, fit, data_format):
    """Return an image file as float32 in a size."""
    x = resize(read_image(path, mode), size, interpolation, fit)
    return np.ascontiguousarray(x.transpose(2, 0, 1)) if data_format == "channels_first" else x
