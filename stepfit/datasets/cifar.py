"""What CIFAR-10 and CIFAR-100 share: the format of their batches."""

import numpy as np

from stepfit.core import config
from stepfit.datasets.pickles import load_pickle


def load_batches(paths, label_key):
    """Return images and labels of CIFAR batch files, joined.

    Args:
        paths: the files, in order.
        label_key: "labels", "fine_labels" or "coarse_labels".

    Returns:
        Images, uint8 of shape (n, 32, 32, 3), or (n, 3, 32, 32) where the image data format is
        "channels_first"; labels, uint8 of shape (n, 1).
    """
    images, labels = [], []
    for path in paths:
        with open(path, "rb") as file:
            batch = load_pickle(file, path)
        images.append(batch[b"data"].reshape(-1, 3, 32, 32))
        labels.append(np.asarray(batch[label_key.encode()], dtype="uint8"))
    x, y = np.concatenate(images), np.concatenate(labels)[:, None]
    if config.image_data_format() == "channels_last":
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x), y
