"""California housing: prices of houses in 20,640 districts."""

import numpy as np

from stepfit.core import errors
from stepfit.datasets.digits import check_test_split, split
from stepfit.datasets.download import GOOGLE, dataset_file

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(version="large", path="california_housing.npz", test_split=0.2, seed=113):
    """Return the California housing data, downloading it at the first call (0.7 MB).

    Features: median income, median age of the houses, mean rooms and bedrooms per household,
    population, mean household size, latitude, longitude.

    Args:
        version: "large" (20,640 samples) or "small" (the first 600).
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.
        test_split: share of the samples in the test part, at least 0 and below 1.
        seed: integer that fixes the shuffling before the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: features, float32 of shape (n, 8); median house
        value in US dollars, float32 of shape (n,).

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: for a wrong argument, or a downloaded file with another hash.

    Source: R. K. Pace, R. Barry, Sparse Spatial Autoregressions, 1997 (1990 US census).
    """
    check_test_split(test_split)
    if version not in ("small", "large"):
        raise errors.unknown_name("version", "version", version, ("small", "large"))
    with np.load(dataset_file(path, _SHA256, GOOGLE, "california_housing.npz"),
                 allow_pickle=False) as file:  # fmt: skip
        x, y = file["x"], file["y"]
    if version == "small":
        x, y = x[:600], y[:600]
    return split(x, y, test_split, seed)
