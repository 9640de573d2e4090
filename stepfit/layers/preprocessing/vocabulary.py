"""A vocabulary, and how its tokens are counted."""

import collections

import jax.numpy as jnp
import numpy as np

from stepfit.core import errors


class Vocabulary:
    """Tokens in an order, all of them strings or all of them integers; it does not change.

    Args:
        tokens: list of `str`, or of int.
    """

    def __init__(self, tokens):
        self.tokens = tuple(tokens)
        self._index = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self):
        return len(self.tokens)

    def find(self, values):
        """Return the places of tokens, -1 for those that are not there.

        Args:
            values: NumPy array of `str` objects or integers.
        """
        get = self._index.get
        flat = [get(v, -1) for v in values.ravel().tolist()]
        return np.asarray(flat, np.int64).reshape(values.shape)

    def find_in_jax(self, values):
        """Do as `find` does, for a traced array of integers."""
        limits = jnp.iinfo(values.dtype)
        known = {t: i for t, i in self._index.items() if limits.min <= t <= limits.max}
        if not known:
            return jnp.full(values.shape, -1, "int32")
        tokens = np.array(sorted(known), values.dtype)
        places = np.array([known[t] for t in sorted(known)], np.int32)
        near = jnp.minimum(jnp.searchsorted(tokens, values), len(tokens) - 1)
        return jnp.where(jnp.asarray(tokens)[near] == values, jnp.asarray(places)[near], -1)


class TokenCounts:
    """How often tokens were seen, and in how many documents (rows)."""

    def __init__(self):
        self.counts: collections.Counter = collections.Counter()
        self.documents: collections.Counter = collections.Counter()
        self.num_documents = 0

    def add(self, rows):
        """Count the tokens of some documents.

        Args:
            rows: list of lists of tokens.
        """
        for row in rows:
            self.counts.update(row)
            self.documents.update(set(row))
        self.num_documents += len(rows)

    def most_common(self, without, limit=None):
        """Return the tokens, the most frequent first; of equally frequent ones the largest."""
        left = [(n, t) for t, n in self.counts.items() if t not in without]
        return [t for _, t in sorted(left, reverse=True)[:limit]]

    def idf(self, tokens):
        """Return ``log(1 + documents / (1 + documents with the token))`` for each token."""
        seen = np.array([self.documents[t] for t in tokens], np.float64)
        return np.log(1 + self.num_documents / (1 + seen)).astype("float32")


def read_lines(path, where):
    """Return the lines of a text file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as f:
            return [line.removesuffix("\r") for line in f.read().removesuffix("\n").split("\n")]
    except OSError as e:
        found = f"{path!r}, which cannot be read ({e.strerror})"
        raise errors.bad_value(where, "the path of a text file", found) from None
