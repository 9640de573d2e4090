"""Fashion-MNIST: 70,000 images of clothes, 28x28."""

import gzip

import numpy as np

from stepfit.core import errors
from stepfit.datasets.download import GOOGLE, dataset_file

_MD5 = {
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
}


def load_data():
    """Return Fashion-MNIST, downloading it at the first call (30 MB).

    Classes: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker,
    8 bag, 9 ankle boot.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), values from 0 to 255; classes, uint8 of shape (60000,) and (10000,).

    Raises:
        OSError: where a file is not in the cache and cannot be downloaded.
        ValueError: where a downloaded file has another hash than expected.

    Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, MIT licence.
    """
    y_train, x_train, y_test, x_test = (
        _read_idx(dataset_file(name, md5, GOOGLE, subdir="fashion-mnist"))
        for name, md5 in _MD5.items()
    )
    return (x_train, y_train), (x_test, y_test)


def _read_idx(path):
    """Read an IDX file of bytes: two zeros, type 8, rank, the sizes (big-endian), the values."""
    with gzip.open(path, "rb") as file:
        raw = file.read()
    if raw[:3] != b"\0\0\x08":
        found = "another file"
        raise errors.bad_value(str(path), "an IDX file of bytes", found, "delete it and try again")
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", count=rank, offset=4)
    return np.frombuffer(raw, "u1", offset=4 + 4 * rank).reshape(shape).copy()
