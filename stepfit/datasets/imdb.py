"""IMDB: 50,000 film reviews, each good or bad."""

import json

import numpy as np

from stepfit.datasets import word_sequences as words
from stepfit.datasets.download import GOOGLE, dataset_file
from stepfit.datasets.pickles import load_npz

_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_INDEX_MD5 = "bfafd718b763782e994055a2d397834f"


def load_data(
    path="imdb.npz", num_words=None, skip_top=0, maxlen=None, seed=113, start_char=1, oov_char=2,
    index_from=3,
):  # fmt: skip
    """Return the IMDB reviews as lists of word numbers, downloading them at first (17 MB).

    A word's number is its rank by frequency plus `index_from`; 0 is left free for padding.

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.
        num_words: keep only numbers below this; None keeps all but the largest.
        skip_top: leave out numbers below this.
        maxlen: keep only reviews shorter than this, `start_char` counted.
        seed: integer that fixes the shuffling.
        start_char: number put before each review, or None.
        oov_char: number put for words left out, or None to drop them.
        index_from: added to the rank of each word.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: lists of int in object arrays of shape (n,);
        labels, int64 of shape (n,), 1 = good. 25,000 each without `maxlen`.

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
        ValueError: where `maxlen` leaves nothing, or a downloaded file has another hash.

    Source: A. L. Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011.
    """
    file = load_npz(dataset_file(path, _SHA256, GOOGLE, "imdb.npz"))
    random, parts = np.random.RandomState(seed), []
    for part in ("train", "test"):
        x, y = words.shuffle(file[f"x_{part}"], file[f"y_{part}"], random)
        parts.append(words.drop_long(words.mark(x, start_char, index_from), y, maxlen))
    (x_train, y_train), (x_test, y_test) = parts
    limited = words.limit_words(x_train + x_test, num_words, skip_top, oov_char)
    cut = len(x_train)
    return (words.ragged(limited[:cut]), y_train), (words.ragged(limited[cut:]), y_test)


def get_word_index(path="imdb_word_index.json"):
    """Return a dict from word to its rank by frequency (from 1, without `index_from`).

    Args:
        path: name of the file in ``$STEPFIT_HOME/datasets``, or an absolute path.

    Raises:
        OSError: where the file is not in the cache and cannot be downloaded.
    """
    with open(dataset_file(path, _INDEX_MD5, GOOGLE, "imdb_word_index.json"), "rb") as file:
        return json.load(file)
