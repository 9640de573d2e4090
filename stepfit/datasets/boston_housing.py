"""Boston housing: prices of houses in 506 districts."""

import numpy as np

from stepfit.datasets.digits import check_test_split, split
from stepfit.datasets.download import GOOGLE, dataset_file

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(path="boston_housing.npz", test_split=0.2, seed=113):
    """Return the Boston housing data, downloading it at the first call (57 kB).

    One of its features was made from the share of Black residents, on a premise that has been
    criticised since; `california_housing` serves the same purposes.

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.
        test_split: share of the samples in the test part, at least 0 and below 1.
        seed: integer that fixes the shuffling before the split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: features, float64 of shape (n, 13); median house
        value in thousands of US dollars, float64 of shape (n,).

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: for a wrong argument, or a downloaded file with another hash.

    Source: D. Harrison, D. Rubinfeld, Hedonic housing prices and the demand for clean air, 1978.
    """
    check_test_split(test_split)
    with np.load(dataset_file(path, _SHA256, GOOGLE, "boston_housing.npz"),
                 allow_pickle=False) as file:  # fmt: skip
        return split(file["x"], file["y"], test_split, seed)
