"""TextVectorization: texts as the indices of their words."""

from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.layers.preprocessing import tokens
from stepfit.layers.preprocessing.adapting import batches, is_array
from stepfit.layers.preprocessing.host_layer import HostLayer
from stepfit.layers.preprocessing.index_lookup import no_sparse
from stepfit.layers.preprocessing.string_lookup import StringLookup, not_text
from stepfit.layers.preprocessing.strings import to_text
from stepfit.layers.preprocessing.vocabulary import TokenCounts


class TextVectorization(HostLayer):
    """Texts as the indices of their tokens: standardize, split, join n-grams, look up.

    Args:
        max_tokens: int, most indices that there may be, special ones included; None: any number.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" (ASCII only), None,
            or a function from an array of strings to one of the same shape.
        split: "whitespace", "character", None (a string is one token), or a function from an array
            of strings to a list of lists of them.
        ngrams: int (all n-grams of up to so many tokens), a tuple of ints (those of these lengths),
            or None.
        output_mode: "int" (indices), "multi_hot", "count" or "tf_idf" (a vector for each text).
        output_sequence_length: int, how many indices a text gets, by cutting and by padding with
            0; None: as many as the longest text of the batch has.
        pad_to_max_tokens: whether the vectors are `max_tokens` long.
        vocabulary: list or array of tokens, or the path of a text file with one per line; None:
            `adapt` learns it.
        idf_weights: list or array of floats, one per token; needed with "tf_idf" and `vocabulary`.
        sparse, ragged: False.
        encoding: of strings that come as bytes.

    Input: strings, ``(batch,)`` or ``(batch, 1)``: lists, NumPy arrays, tensors of TensorFlow.
    Output: int32 ``(batch, tokens)``, or vectors. Index 0 is padding, 1 a token out of the
    vocabulary. It runs on the host: use it in a data pipeline, or on values.

    Raises:
        RuntimeError: called without a vocabulary.

    >>> import stepfit as keras
    >>> layer = keras.layers.TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["a cat", "a dog"])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'a', 'dog', 'cat']
    >>> layer(["A cat, a mouse!", "Dog"]).tolist()
    [[2, 4, 2, 1], [3, 0, 0, 0]]
    """

    def __init__(
        self,
        max_tokens=None,
        standardize="lower_and_strip_punctuation",
        split="whitespace",
        ngrams=None,
        output_mode="int",
        output_sequence_length=None,
        pad_to_max_tokens=False,
        vocabulary=None,
        idf_weights=None,
        sparse=False,
        ragged=False,
        encoding="utf-8",
        name=None,
        **kwargs,
    ):
        lookup_arguments = {k: kwargs.pop(k) for k in ("has_input_vocabulary", "vocabulary_size")
                            if k in kwargs}  # fmt: skip
        super().__init__(name=name, **kwargs)
        where = "TextVectorization"
        _check(standardize, tokens.STANDARDIZERS, f"{where}(standardize)")
        _check(split, tokens.SPLITTERS, f"{where}(split)")
        no_sparse(sparse, where)
        if ragged:
            fix = "rows are padded with 0, to output_sequence_length or the longest one"
            raise errors.bad_value(f"{where}(ragged)", "False", "True", fix)
        ngrams = tuple(ngrams) if isinstance(ngrams, list) else ngrams
        widths = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
        if widths is not None and not (
            isinstance(widths, (tuple, range))
            and widths
            and all(isinstance(n, int) and n > 0 for n in widths)
        ):
            expected = "None, a positive int or a tuple of them"
            raise errors.bad_value(f"{where}(ngrams)", expected, errors.describe(ngrams))
        self._widths = None if widths is None else tuple(widths)
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, mask_token="",
            pad_to_max_tokens=pad_to_max_tokens, output_mode=output_mode, encoding=encoding,
            **lookup_arguments,
        )  # fmt: skip
        self.output_mode = self._lookup_layer.output_mode
        length = output_sequence_length
        if length is not None and (self.output_mode != "int" or not isinstance(length, int)):
            expected = "None, or an int with output_mode='int'"
            raise errors.bad_value(f"{where}(output_sequence_length)", expected, repr(length))
        self.output_sequence_length, self.encoding = length, encoding

    # -- the vocabulary ----------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent tokens of some texts, in place of what was known.

        Args:
            data: array or list of strings; or a `tf.data.Dataset`, `PyDataset` or iterable of
                batches of them. For "tf_idf", the texts are the documents.
            batch_size: without effect.
            steps: how many batches are read; None: all.

        Raises:
            ValueError: no tokens, or a vocabulary that was given. TypeError: no strings. Nothing is
                changed then.
        """
        where = f"{self._where()} adapt(data)"
        lookup = self._lookup_layer
        lookup._check_adaptable(where)
        counts = TokenCounts()
        whole = is_array(data) or isinstance(data, (list, tuple))
        for batch in [data] if whole else batches(data, where, steps):
            texts = to_text(batch, where, self.encoding)
            counts.add(self._rows(texts[:, None] if whole and texts.ndim == 1 else texts, where))
        lookup._learn(counts, where)

    def update_state(self, data: Any) -> None:
        """Count the tokens of one more batch; `finalize_state` makes the vocabulary of them."""
        where = f"{self._where()} update_state(data)"
        self._lookup_layer._check_adaptable(where)
        self._lookup_layer._counts.add(self._rows(data, where))

    def finalize_state(self) -> None:
        """Make the vocabulary of the tokens that `update_state` counted, if any."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget the tokens that `update_state` counted; the vocabulary stays."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the tokens in the order of their indices.

        Args:
            include_special_tokens: whether the tokens for padding and for what is out of the
                vocabulary come first.
        """
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Return the number of indices, special ones included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the vocabulary in place of what `adapt` learns; see `StringLookup`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def check_usable(self):
        if not len(self._lookup_layer._vocabulary):
            raise errors.StepfitRuntimeError(
                f"{self._where()}: expected a vocabulary before the first call, found none; call "
                "adapt(data) first, or pass vocabulary=[...]."
            )

    # -- the call ----------------------------------------------------------------------------------

    @property
    def output_dtype(self):
        """The dtype of the output."""
        return self._lookup_layer.output_dtype

    def in_jax(self, inputs):
        raise not_text(self, inputs)

    def pipeline_spec(self, inputs, check=True):
        if inputs.dtype != "string":
            raise not_text(self, inputs)
        return super().pipeline_spec(inputs, check)

    def on_host(self, inputs):
        where = f"{self._where()} input"
        texts = to_text(inputs, where, self.encoding)
        rows = self._rows(texts, where)
        flat = np.empty(sum(map(len, rows)), object)
        flat[:] = [token for row in rows for token in row]
        lookup = self._lookup_layer
        indices = lookup._indices(np, lookup._vocabulary.find(flat), flat)
        lengths = [len(row) for row in rows]
        if self.output_mode == "int":
            table = tokens.padded(indices, lengths, self.output_sequence_length)
        else:
            table = lookup._encode(tokens.padded(indices, lengths, fill=-1))
        return table if self._is_batch(texts.ndim) else table[0]

    def _is_batch(self, ndim):
        """Say whether strings with so many axes are several texts; tokens have one axis more."""
        return ndim > (1 if self.split is None else 0)

    def _rows(self, data, where):
        """Return the tokens of each text."""
        texts = to_text(data, where, self.encoding)
        if texts.ndim > 1 and self.split is not None and texts.shape[1:] != (1,):
            raise errors.bad_value(
                where, "strings of shape (batch,) or (batch, 1), to be split",
                f"shape {texts.shape}", "use split=None for strings that are tokens",
            )  # fmt: skip
        texts = tokens.standardized(texts, self.standardize, where)
        rows = tokens.rows_of(np.atleast_1d(texts), self.split, where)
        return rows if self._widths is None else tokens.with_ngrams(rows, self._widths)

    def compute_output_shape(self, input_shape):
        shape = tuple(input_shape)
        batch = shape[:1] if self._is_batch(len(shape)) else ()
        if self.output_mode == "int":
            known = self.split is None and self._widths is None
            length = shape[-1] if known and shape else None
            return (*batch, self.output_sequence_length or length)
        if not self._lookup_layer._known_size:
            self.check_usable()
        depth = self._lookup_layer._depth()
        return (*batch, None, depth) if self.output_mode == "one_hot" else (*batch, depth)

    # -- config and files --------------------------------------------------------------------------

    def _current_config(self):
        lookup = self._lookup_layer._current_config()
        kept = ("output_mode", "vocabulary", "idf_weights", "vocabulary_size")
        return {**super()._current_config(), **{k: lookup[k] for k in kept}}

    def save_own_variables(self, store):
        """Put the weights of "tf_idf" into a store, a mapping of arrays."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store):
        """Take the weights of "tf_idf" from a store."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path):
        """Write the vocabulary to ``vocabulary.txt``, a token per line, unless config holds it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path):
        """Read what `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)


def _check(value, known, where):
    if value is None or callable(value):
        return
    if isinstance(value, str) and value not in known:
        raise errors.unknown_name(where, "way", value, known)
    if not isinstance(value, str):
        raise errors.bad_type(where, "a name, a function or None", errors.describe(value))
