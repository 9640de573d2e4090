"""UCI handwritten digits: 1,797 images of 8x8, shipped with the package."""

import pathlib

import numpy as np

from stepfit.core import errors

_FILE = pathlib.Path(__file__).parent / "data" / "digits.npz"


def load_data(test_split=0.2, seed=113):
    """Return the handwritten digits of the UCI repository; no network is needed.

    Args:
        test_split: share of the images in the test part, at least 0 and below 1.
        seed: integer that fixes the shuffling before the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 of shape (n, 8, 8) with values from
        0 to 16, and digits, uint8 of shape (n,).

    Raises:
        ValueError: for `test_split` outside [0, 1).

    Example:

    >>> import stepfit as keras
    >>> (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1437, 8, 8), (360, 8, 8), 16)

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository 1998, https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    check_test_split(test_split)
    with np.load(_FILE, allow_pickle=False) as file:
        return split(file["x"], file["y"], test_split, seed)


def check_test_split(test_split):
    """Raise unless `test_split` lies in [0, 1)."""
    if not 0 <= test_split < 1:
        fix = "0.2 puts every fifth sample into the test part"
        raise errors.bad_value("test_split", "a number from 0 to below 1", repr(test_split), fix)


def split(x, y, test_split, seed):
    """Shuffle two arrays alike and return `(x_train, y_train), (x_test, y_test)`."""
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
