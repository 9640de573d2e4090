"""What `StringLookup` and `IntegerLookup` share: a table of tokens and their indices.

The indices begin with 0 for the mask token (if there is one, and indices are what is returned),
then come those for tokens that are not in the vocabulary, then the vocabulary's.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, dtypes, errors
from stepfit.layers.preprocessing import encoding, fingerprints
from stepfit.layers.preprocessing.adapting import batches, is_array, to_numpy
from stepfit.layers.preprocessing.host_layer import HostLayer
from stepfit.layers.preprocessing.strings import to_bytes
from stepfit.layers.preprocessing.vocabulary import TokenCounts, Vocabulary, read_lines


class IndexLookup(HostLayer):
    """The base of the lookups; subclasses say what a token is."""

    token_dtype = "string"

    def __init__(
        self, *, max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights,
        invert, output_mode, sparse, pad_to_max_tokens, oov_method, salt, vocabulary_size=None,
        has_input_vocabulary=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        where = type(self).__name__
        self.output_mode = encoding.output_mode(
            output_mode, f"{where}(output_mode)", (*encoding.MODES, "tf_idf")
        )
        _check(where, max_tokens, num_oov_indices, invert, self.output_mode, sparse,
               pad_to_max_tokens, idf_weights)  # fmt: skip
        if oov_method not in ("floormod", "farmhash"):
            raise errors.unknown_name(
                f"{where}(oov_method)", "method", oov_method, ("floormod", "farmhash")
            )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.sparse, self.pad_to_max_tokens = invert, sparse, pad_to_max_tokens
        self.oov_method = oov_method
        self.salt = check_salt(salt, where)
        self._known_size = vocabulary_size  # of a layer made anew, whose vocabulary will follow
        is_path = isinstance(vocabulary, (str, os.PathLike))
        self.input_vocabulary = None if is_path or vocabulary is None else _plain(vocabulary)
        self.input_idf_weights = None if idf_weights is None else _plain(idf_weights)
        given = vocabulary is not None
        self._has_input_vocabulary = given if has_input_vocabulary is None else has_input_vocabulary
        self._vocabulary = Vocabulary([])
        self.idf_weights: Any = None
        self._counts = TokenCounts()
        if given:
            self.set_vocabulary(vocabulary, idf_weights)

    # -- what subclasses give ----------------------------------------------------------------------

    def _tokens(self, values, where):
        """Return values as a NumPy array of tokens."""
        raise NotImplementedError

    def _as_text(self, tokens):
        """Return an array of tokens as a list of `str`."""
        return [str(t) for t in tokens.ravel().tolist()]

    # -- the vocabulary ----------------------------------------------------------------------------

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the vocabulary in place of what `adapt` learns.

        Args:
            vocabulary: list or array of tokens, with or without the mask and out-of-vocabulary
                tokens in front; or the path of a text file, one token per line.
            idf_weights: list or array of a float for each of them; for "tf_idf" only.

        Raises:
            ValueError: repeated, reserved or too many tokens; nothing is changed then.
        """
        where = f"{self._where()} set_vocabulary(vocabulary)"
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise errors.bad_value(
                f"{self._where()} set_vocabulary(idf_weights)",
                "one float per token" if idf_weights is None else "None",
                "None" if idf_weights is None else errors.describe(idf_weights),
                f"output_mode is {self.output_mode!r}",
            )  # fmt: skip
        if isinstance(vocabulary, (str, os.PathLike)):
            vocabulary = self._parse(read_lines(vocabulary, where), where)
        given = self._tokens(vocabulary, where).ravel().tolist()
        special = self._special_tokens()
        has_special = given[: len(special)] == special and bool(special)
        tokens = given[len(special) :] if has_special else given
        self._check_tokens(tokens, len(given), where)
        if self.output_mode == "tf_idf":
            self.idf_weights = self._padded_weights(idf_weights, len(given), has_special)
        self._vocabulary = Vocabulary(tokens)

    def _check_tokens(self, tokens, given, where):
        if not given:
            raise errors.bad_value(where, "at least one token", "none")
        if len(set(tokens)) < len(tokens):
            count = len(tokens) - len(set(tokens))
            raise errors.bad_value(where, "tokens that differ", f"{count} repeated")
        reserved = [("mask_token", self.mask_token)]
        reserved += [("oov_token", self.oov_token)] if self.invert else []
        for name, token in reserved:
            if token is not None and token in tokens:
                raise errors.bad_value(
                    where, f"{name}={token!r} only in front, as {self._special_tokens()}",
                    f"it at index {tokens.index(token)} of the others",
                    "leave the special tokens out, they are added",
                )  # fmt: skip
        size = self._token_start() + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise errors.bad_value(
                where, f"at most max_tokens={self.max_tokens} with the special ones", f"{size}"
            )

    def _padded_weights(self, weights, count, has_special):
        weights = to_numpy(weights).astype(np.float64)
        if weights.shape != (count,):
            raise errors.bad_value(
                f"{self._where()} set_vocabulary(idf_weights)",
                f"shape ({count},), one float per token", f"shape {weights.shape}",
            )  # fmt: skip
        if not has_special:
            front = (self._token_start(), 0)
            weights = np.pad(weights, front, constant_values=weights.mean())
        return self._pad_behind(weights.astype(config.floatx()))

    def _pad_behind(self, weights):
        if not self.pad_to_max_tokens:
            return weights
        return np.pad(weights, (0, self.max_tokens - len(weights)))

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the tokens in the order of their indices.

        Args:
            include_special_tokens: whether the mask and out-of-vocabulary tokens come first.
        """
        return [*(self._special_tokens() if include_special_tokens else []),
                *self._vocabulary.tokens]  # fmt: skip

    def vocabulary_size(self) -> int:
        """Return the number of indices, special ones included."""
        return self._token_start() + len(self._vocabulary)

    def _special_tokens(self):
        return [self.mask_token] * self._oov_start() + [self.oov_token] * self.num_oov_indices

    def _oov_start(self):
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    def _token_start(self):
        return self._oov_start() + self.num_oov_indices

    # -- learning it -------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent tokens of some data, in place of what was known.

        Args:
            data: array or list of tokens; or a `tf.data.Dataset`, `PyDataset` or iterable of
                batches of them. For "tf_idf", the rows are the documents.
            steps: how many batches are read; None: all.

        Raises:
            ValueError: no tokens, or a vocabulary that was given. TypeError: no tokens but
                something else. Nothing is changed then.
        """
        where = f"{self._where()} adapt(data)"
        self._check_adaptable(where)
        counts = TokenCounts()
        if is_array(data) or isinstance(data, (list, tuple)):
            tokens = self._tokens(data, where)
            counts.add(_documents(tokens[:, None] if tokens.ndim == 1 else tokens))
        else:
            for batch in batches(data, where, steps):
                counts.add(_documents(self._tokens(batch, where)))
        self._learn(counts, where)

    def update_state(self, data: Any) -> None:
        """Count the tokens of one more batch; `finalize_state` makes the vocabulary of them."""
        where = f"{self._where()} update_state(data)"
        self._check_adaptable(where)
        self._counts.add(_documents(self._tokens(data, where)))

    def finalize_state(self) -> None:
        """Make the vocabulary of the tokens that `update_state` counted, if any."""
        if self._counts.counts and not self._has_input_vocabulary:
            self._learn(self._counts, f"{self._where()} finalize_state()")
        self.reset_state()

    def reset_state(self) -> None:
        """Forget the tokens that `update_state` counted; the vocabulary stays."""
        self._counts = TokenCounts()

    def _check_adaptable(self, where):
        if self._has_input_vocabulary:
            raise errors.StepfitValueError(
                f"{where}: expected a layer without a vocabulary, found one that was given it in "
                "its constructor; leave `vocabulary` out to learn it."
            )

    def _learn(self, counts, where):
        limit = None if self.max_tokens is None else self.max_tokens - self._token_start()
        tokens = counts.most_common({self.mask_token, self.oov_token}, limit)
        if not counts.counts:
            raise errors.bad_value(where, "at least one token", "none")
        if self.output_mode == "tf_idf":
            weights = counts.idf(tokens)
            mean = weights.mean() if len(weights) else 0.0
            weights = np.pad(weights, (self._token_start(), 0), constant_values=mean)
            self.idf_weights = self._pad_behind(weights.astype(config.floatx()))
        self._vocabulary = Vocabulary(tokens)

    def check_usable(self):
        if not len(self._vocabulary):
            raise errors.StepfitRuntimeError(
                f"{self._where()}: expected a vocabulary before the first call, found none; call "
                "adapt(data) first, or pass vocabulary=[...]."
            )

    # -- the lookup --------------------------------------------------------------------------------

    @property
    def output_dtype(self):
        """The dtype of the output."""
        if self.invert:
            return self.token_dtype
        return config.floatx() if self.output_mode == "tf_idf" else "int64"

    def on_host(self, inputs):
        where = f"{self._where()} input"
        if self.invert:
            return self._tokens_at(np.asarray(to_numpy(inputs)).astype(np.int64))
        tokens = self._tokens(inputs, where)
        places = self._vocabulary.find(tokens)
        return self._encode(self._indices(np, places, tokens))

    def in_jax(self, inputs):
        whole = jnp.issubdtype(inputs.dtype, jnp.integer) and inputs.dtype.itemsize >= 4
        index = inputs if whole else inputs.astype("int32")
        hashed = self.num_oov_indices > 1 and self.oov_method == "farmhash"
        if self.invert or hashed:
            return super().in_jax(index)
        return self._encode(self._indices(jnp, self._vocabulary.find_in_jax(index), index))

    def _indices(self, xp, places, tokens):
        """Return the indices of tokens whose places in the vocabulary are known."""
        missing = places < 0
        indices = places + self._token_start()
        if self.num_oov_indices == 1:
            indices = xp.where(missing, self._oov_start(), indices)
        elif self.num_oov_indices:
            indices = xp.where(missing, self._oov_start() + self._buckets(tokens), indices)
        else:
            indices = xp.where(missing, -1, indices)
        if self.mask_token is not None:
            is_mask = tokens == self.mask_token
            indices = xp.where(is_mask, 0 if self.output_mode == "int" else -1, indices)
            missing = missing & ~is_mask
        if not self.num_oov_indices and xp is np and missing.any():
            raise errors.bad_value(
                f"{self._where()} input", "tokens of the vocabulary only (num_oov_indices=0)",
                f"{int(missing.sum())} others", "use num_oov_indices=1",
            )  # fmt: skip
        return indices

    def _buckets(self, tokens):
        if self.token_dtype != "string" and self.oov_method == "floormod":
            return tokens % self.num_oov_indices
        hashes = hash_texts(to_bytes(self._as_text(tokens)), self.salt)
        return (hashes % np.uint64(self.num_oov_indices)).astype(np.int64).reshape(tokens.shape)

    def _encode(self, indices):
        if self.output_mode != "tf_idf":
            dtype = "int64" if isinstance(indices, np.ndarray) else dtypes.jax_dtype("int64")
            return encoding.encode(indices, self.output_mode, self._depth(), dtype)
        counts = encoding.encode(indices, "count", self._depth(), config.floatx())
        return counts * self.idf_weights.astype(counts.dtype)

    def _depth(self):
        if self.pad_to_max_tokens:
            return self.max_tokens
        if not len(self._vocabulary) and self._known_size is not None:
            return self._known_size
        return self.vocabulary_size()

    def _tokens_at(self, indices):
        table = self.get_vocabulary()
        outside = (indices < 0) | (indices >= len(table))
        flat = np.where(outside, len(table), indices).ravel().tolist()
        table = [*table, self.oov_token]
        dtype = None if self.token_dtype == "string" else np.int64
        return np.array([table[i] for i in flat], dtype).reshape(indices.shape)

    def compute_output_shape(self, input_shape):
        if self.output_mode != "int" and not self.pad_to_max_tokens and not self._known_size:
            self.check_usable()  # the size of the vocabulary is that of the output
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return encoding.encoded_shape(input_shape, mode, self._depth())

    # -- config and files --------------------------------------------------------------------------

    def _current_config(self):
        size = self.vocabulary_size() if len(self._vocabulary) else self._known_size
        return {
            **super()._current_config(), "output_mode": self.output_mode, "salt": self.salt,
            "vocabulary": self.input_vocabulary, "idf_weights": self.input_idf_weights,
            "vocabulary_size": size,
        }  # fmt: skip

    def save_own_variables(self, store):
        """Put the weights of "tf_idf" into a store, a mapping of arrays."""
        if self.output_mode == "tf_idf" and self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store):
        """Take the weights of "tf_idf" from a store."""
        if self.output_mode == "tf_idf":
            self.idf_weights = np.array(store["idf_weights"], config.floatx())

    def save_assets(self, dir_path):
        """Write the vocabulary to ``vocabulary.txt``, a token per line, unless config holds it."""
        if self.input_vocabulary is not None:
            return
        tokens = [str(t) for t in self.get_vocabulary()]
        if any("\n" in t for t in tokens):
            raise errors.bad_value(
                f"{self._where()} save_assets(dir_path)", "tokens of one line each",
                "one with a line break", "pass vocabulary=[...], which stands in the config",
            )  # fmt: skip
        path = os.path.join(dir_path, "vocabulary.txt")
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as f:
            f.write("\n".join(tokens))

    def load_assets(self, dir_path):
        """Read what `save_assets` wrote."""
        if self.input_vocabulary is not None:
            return
        path = os.path.join(dir_path, "vocabulary.txt")
        where = f"{self._where()} load_assets(dir_path)"
        lines = [*read_lines(path, where), ""]
        while lines and not lines[-1] and len(lines) != self._known_size:
            lines.pop()  # the last token may be the empty one
        tokens = self._parse(lines, where)[self._token_start() :]
        self._vocabulary = Vocabulary(tokens)

    def _parse(self, lines, where):
        return lines


def hash_texts(texts, salt):
    """Return the hashes that TensorFlow gives bytes, keyed where there is a salt."""
    if salt is None:
        return fingerprints.fingerprint64(texts)
    return fingerprints.siphash64(texts, salt)


def check_salt(salt, where):
    """Return a salt, an int or a pair of them, as a list of two ints, or None."""
    if salt is None:
        return None
    if isinstance(salt, int) and not isinstance(salt, bool):
        return [salt, salt]
    if isinstance(salt, (list, tuple)) and len(salt) == 2 and all(isinstance(s, int) for s in salt):
        return list(salt)
    raise errors.bad_value(f"{where}(salt)", "an int or a pair of ints", errors.describe(salt))


def no_sparse(sparse, where):
    """Refuse ``sparse=True``: JAX's compiled code has no sparse arrays."""
    if sparse:
        raise errors.bad_value(f"{where}(sparse)", "False", "True", "JAX has dense arrays only")


def _check(where, max_tokens, num_oov_indices, invert, output_mode, sparse, pad, idf_weights):
    if max_tokens is not None and max_tokens <= 1:
        raise errors.bad_value(f"{where}(max_tokens)", "an int of at least 2", repr(max_tokens))
    if num_oov_indices < 0:
        expected = "an int of at least 0"
        raise errors.bad_value(f"{where}(num_oov_indices)", expected, repr(num_oov_indices))
    if pad and max_tokens is None:
        raise errors.bad_value(
            f"{where}(max_tokens)", "an int, with pad_to_max_tokens=True", "None"
        )
    if invert and output_mode != "int":
        raise errors.bad_value(
            f"{where}(output_mode)", "'int', with invert=True", repr(output_mode)
        )
    if idf_weights is not None and output_mode != "tf_idf":
        raise errors.bad_value(
            f"{where}(idf_weights)", f"None, with output_mode={output_mode!r}",
            errors.describe(idf_weights),
        )  # fmt: skip
    no_sparse(sparse, where)


def _plain(values: Sequence[Any]) -> list:
    """Return tokens or weights as a list that JSON can hold."""
    values = to_numpy(values).tolist()
    return [v.decode("utf-8") if isinstance(v, bytes) else v for v in values]


def _documents(tokens):
    """Return a batch as a list of documents: its rows, or itself where it has no rows."""
    if tokens.ndim <= 1:
        return [np.atleast_1d(tokens).tolist()]
    return tokens.reshape(len(tokens), -1).tolist()
