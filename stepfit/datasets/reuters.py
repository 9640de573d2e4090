"""Reuters: 11,228 newswires in 46 topics."""

import json

import numpy as np

from stepfit.datasets import word_sequences as words
from stepfit.datasets.digits import check_test_split
from stepfit.datasets.download import GOOGLE, dataset_file
from stepfit.datasets.pickles import load_npz

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves "
    "ship cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin "
    "strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem "
    "dlr gas silver wpi hog lead"
)


def load_data(
    path="reuters.npz", num_words=None, skip_top=0, maxlen=None, test_split=0.2, seed=113,
    start_char=1, oov_char=2, index_from=3,
):  # fmt: skip
    """Return the Reuters newswires as lists of word numbers, downloading them at first (2 MB).

    A word's number is its rank by frequency plus `index_from`; 0 is left free for padding.

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.
        num_words: keep only numbers below this; None keeps all but the largest.
        skip_top: leave out numbers below this.
        maxlen: keep only newswires shorter than this, `start_char` counted.
        test_split: share of the newswires in the test part, at least 0 and below 1.
        seed: integer that fixes the shuffling.
        start_char: number put before each newswire, or None.
        oov_char: number put for words left out, or None to drop them.
        index_from: added to the rank of each word.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: lists of int in object arrays of shape (n,);
        topics, int64 of shape (n,), 0 to 45.

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: where `maxlen` leaves nothing, or a downloaded file has another hash.

    Source: D. D. Lewis, Reuters-21578 text categorization collection, 1987.
    """
    check_test_split(test_split)
    file = load_npz(dataset_file(path, _SHA256, GOOGLE, "reuters.npz"))
    x, y = words.shuffle(file["x"], file["y"], np.random.RandomState(seed))
    x, y = words.drop_long(words.mark(x, start_char, index_from), y, maxlen)
    x = words.ragged(words.limit_words(x, num_words, skip_top, oov_char))
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def get_word_index(path="reuters_word_index.json"):
    """Return a dict from word to its rank by frequency (from 1, without `index_from`).

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
    """
    with open(dataset_file(path, _INDEX_MD5, GOOGLE, "reuters_word_index.json"), "rb") as file:
        return json.load(file)


def get_label_names():
    """Return the names of the 46 topics, in the order of their numbers.

    >>> import stepfit as keras
    >>> keras.datasets.reuters.get_label_names()[3]
    'earn'
    """
    return tuple(_TOPICS.split())
