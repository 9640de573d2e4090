"""Texts in folders, as batches."""

import functools
from typing import Any

from stepfit.preprocessing import samples
from stepfit.preprocessing.folder import Folder

_WHERE = "text_dataset_from_directory"


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: list[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return batches of the texts (`.txt`, UTF-8) in a folder, one subfolder per class.

    Args:
        max_length: characters of a text that are kept, or None for all.
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
            subset, follow_links, format, verbose: as in `image_dataset_from_directory`.

    Returns:
        Dataset of `(texts, labels)`; texts are an array of `str` objects, or of a
        `tf.data.Dataset` bytes. Attributes `class_names` and `file_paths`.

    >>> import pathlib, tempfile, stepfit as keras
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("some words")
    >>> data = keras.utils.text_dataset_from_directory(folder, labels=None, format="batches")
    Found 1 files.
    >>> data[0].tolist()
    ['some words']
    """
    samples.check_format(_WHERE, format)
    folder = Folder(
        _WHERE, directory, labels, label_mode, class_names, (".txt",), shuffle, seed,
        validation_split, subset, follow_links, verbose,
    )  # fmt: skip
    load = functools.partial(load_text, max_length=max_length)
    return folder.datasets(load, format=format, batch_size=batch_size)


def load_text(path, max_length):
    """Return a text file, or its first characters."""
    with open(path, encoding="utf-8") as file:
        return file.read() if max_length is None else file.read(max_length)
