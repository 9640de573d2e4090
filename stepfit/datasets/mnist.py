"""MNIST: 70,000 handwritten digits of 28x28."""

import numpy as np

from stepfit.datasets.download import GOOGLE, dataset_file

_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path="mnist.npz"):
    """Return the MNIST digits, downloading them at the first call (11 MB).

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), values from 0 to 255; digits, uint8 of shape (60000,) and (10000,).

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: where the downloaded file has another hash than expected.

    Source: Y. LeCun, C. Cortes, http://yann.lecun.com/exdb/mnist, CC BY-SA 3.0.
    """
    with np.load(dataset_file(path, _SHA256, GOOGLE, "mnist.npz"), allow_pickle=False) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])
