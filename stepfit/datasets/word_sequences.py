"""What IMDB and Reuters share: texts as lists of word ranks, filtered and marked."""

import numpy as np

from stepfit.core import errors


def shuffle(x, y, random):
    """Shuffle texts and labels alike with a `numpy.random.RandomState`."""
    order = np.arange(len(x))
    random.shuffle(order)
    return x[order], y[order]


def mark(texts, start_char, index_from):
    """Shift every word rank by `index_from` and put `start_char` before each text."""
    head = [] if start_char is None else [start_char]
    return [head + [word + index_from for word in text] for text in texts]


def drop_long(texts, labels, maxlen):
    """Keep the texts of fewer than `maxlen` words (None: all)."""
    if not maxlen:
        return texts, labels
    kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        expected = "a maxlen that keeps at least one text"
        raise errors.bad_value("maxlen", expected, repr(maxlen), "raise maxlen")
    return [texts[i] for i in kept], labels[kept]


def limit_words(texts, num_words, skip_top, oov_char):
    """Replace words outside [skip_top, num_words) by `oov_char`, or drop them where it is None."""
    num_words = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[w for w in text if skip_top <= w < num_words] for text in texts]
    return [[w if skip_top <= w < num_words else oov_char for w in text] for text in texts]


def ragged(texts):
    """Return a one-dimensional object array of lists."""
    array = np.empty(len(texts), dtype=object)
    for i, text in enumerate(texts):
        array[i] = text
    return array
