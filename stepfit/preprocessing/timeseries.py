"""Windows that slide over a series."""

from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.preprocessing import samples

_WHERE = "timeseries_dataset_from_array"


class Windows(samples.Samples):
    """Windows of an array, by number.

    Args:
        data: array ``(steps, ...)``.
        targets: array with the target of the window that begins at each step, or None.
        starts: the steps at which windows begin.
        offsets: the steps of a window, counted from its beginning.
    """

    def __init__(self, data, targets, starts, offsets):
        self._data, self._targets = data, targets
        self._starts, self._offsets = starts, offsets

    def __len__(self):
        return len(self._starts)

    def __getitem__(self, number):
        return self.many(number)

    def many(self, numbers):
        starts = self._starts[numbers]
        x = self._data[starts[..., None] + self._offsets]
        return x if self._targets is None else (x, self._targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Any:
    """Return batches of windows that slide over a series.

    Args:
        data: array ``(steps, ...)``.
        targets: array whose item `i` is the target of the window that begins at step `i`, or None.
        sequence_length: steps of a window.
        sequence_stride: steps from the beginning of one window to that of the next.
        sampling_rate: steps from one item of a window to the next.
        batch_size: windows per batch; None for single windows.
        shuffle: whether windows come in a random order, anew in each pass.
        seed: int that fixes the orders.
        start_index, end_index: the part of `data` to use.
        format: "tf", "batches" or "grain", as in `image_dataset_from_directory`.

    Returns:
        Dataset of `(windows, targets)`, or of windows.

    >>> import numpy as np, stepfit as keras
    >>> data = keras.utils.timeseries_dataset_from_array(
    ...     np.arange(6), np.arange(6) * 10, sequence_length=3, format="batches")
    >>> data[0][0].tolist(), data[0][1].tolist()
    ([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]], [0, 10, 20, 30])
    """
    samples.check_format(_WHERE, format)
    steps = len(data)
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < steps:
            expected = f"at least 1 and less than {steps}, the steps of data"
            raise errors.bad_value(f"{_WHERE}({name})", expected, repr(value))
    if start_index is not None and not 0 <= start_index < steps:
        expected = f"at least 0 and less than {steps}, the steps of data"
        raise errors.bad_value(f"{_WHERE}(start_index)", expected, repr(start_index))
    start = start_index or 0
    if end_index is not None and not start < end_index < steps:
        expected = f"more than {start} and less than {steps}, the steps of data"
        raise errors.bad_value(f"{_WHERE}(end_index)", expected, repr(end_index))
    data = np.asarray(data)[start:end_index]
    count = len(data) - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets))
        targets = np.asarray(targets)[start:end_index]
    starts = np.arange(0, count, sequence_stride)
    seed = samples.drawn(seed) % 2**32 if shuffle else 0
    if shuffle:
        np.random.RandomState(seed).shuffle(starts)
    if not len(starts):
        expected = f"at least {(sequence_length - 1) * sampling_rate + 1} steps for a window"
        raise errors.bad_value(f"{_WHERE}(data)", expected, f"{len(data)}")
    offsets = np.arange(sequence_length) * sampling_rate
    return samples.dataset(
        Windows(data, targets, starts, offsets), where=_WHERE, format=format,
        batch_size=batch_size, shuffle=shuffle, seed=seed,
    )  # fmt: skip
