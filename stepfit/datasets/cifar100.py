"""CIFAR-100: 60,000 colour images of 32x32 in 100 classes."""

from stepfit.core import errors
from stepfit.datasets.cifar import load_batches
from stepfit.datasets.download import TORONTO, dataset_folder

_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode="fine"):
    """Return CIFAR-100, downloading it at the first call (161 MB).

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups of classes.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 of shape (50000, 32, 32, 3) and
        (10000, 32, 32, 3), values from 0 to 255; classes, uint8 of shape (n, 1).

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: for another `label_mode`, or a downloaded file with another hash.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    if label_mode not in ("fine", "coarse"):
        raise errors.unknown_name("label_mode", "set of labels", label_mode, ("fine", "coarse"))
    folder = dataset_folder("cifar-100-python.tar.gz", _SHA256, TORONTO) / "cifar-100-python"
    key = f"{label_mode}_labels"
    return load_batches([folder / "train"], key), load_batches([folder / "test"], key)
