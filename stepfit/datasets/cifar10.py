"""CIFAR-10: 60,000 colour images of 32x32 in 10 classes."""

from stepfit.datasets.cifar import load_batches
from stepfit.datasets.download import TORONTO, dataset_folder

_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data():
    """Return CIFAR-10, downloading it at the first call (163 MB).

    Classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship,
    9 truck.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 of shape (50000, 32, 32, 3) and
        (10000, 32, 32, 3), values from 0 to 255; classes, uint8 of shape (n, 1).

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: where the downloaded file has another hash than expected.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    folder = dataset_folder("cifar-10-python.tar.gz", _SHA256, TORONTO) / "cifar-10-batches-py"
    train = load_batches([folder / f"data_batch_{i}" for i in range(1, 6)], "labels")
    return train, load_batches([folder / "test_batch"], "labels")
