"""Sounds in folders, as batches."""

import functools
import wave
from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.preprocessing.folder import FileSamples, Folder, PaddedSamples

_WHERE = "audio_dataset_from_directory"


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: list[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Return batches of the sounds (`.wav`, 16 bits) in a folder, one subfolder per class.

    Args:
        sampling_rate: samples per second that the files must have, or None for any.
        output_sequence_length: samples a sound is cut or padded to; None pads with zeros to the
            longest of each batch.
        ragged: must be False: JAX has no ragged arrays.
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
            subset, follow_links, verbose: as in `image_dataset_from_directory`.

    Returns:
        Dataset of `(sounds, labels)`, sounds float32 from -1 to 1, ``(batch, samples, channels)``;
        a `tf.data.Dataset` if TensorFlow is installed, else NumPy batches by number. Attributes
        `class_names` and `file_paths`.
    """
    if ragged:
        fix = "leave output_sequence_length None, which pads each batch"
        raise errors.bad_value(f"{_WHERE}(ragged)", "False", "True", fix)
    folder = Folder(
        _WHERE, directory, labels, label_mode, class_names, (".wav",), shuffle, seed,
        validation_split, subset, follow_links, verbose,
    )  # fmt: skip
    load = functools.partial(load_wav, rate=sampling_rate, length=output_sequence_length)
    kind = PaddedSamples if output_sequence_length is None else FileSamples
    return folder.datasets(load, format="tf", batch_size=batch_size, kind=kind)


def load_wav(path, rate=None, length=None):
    """Return a WAV file as float32 ``(samples, channels)`` in [-1, 1)."""
    with wave.open(str(path), "rb") as file:
        channels, width = file.getnchannels(), file.getsampwidth()
        if width != 2:
            raise errors.bad_value(path, "16 bits per sample", f"{8 * width}", "convert the file")
        if rate is not None and file.getframerate() != rate:
            expected = f"{rate} samples per second"
            raise errors.bad_value(path, expected, f"{file.getframerate()}", "resample the file")
        raw = file.readframes(file.getnframes() if length is None else length)
    x = np.frombuffer(raw, "<i2").reshape(-1, channels).astype("float32") / 32768
    return x if length is None else np.pad(x, [(0, length - len(x)), (0, 0)])
