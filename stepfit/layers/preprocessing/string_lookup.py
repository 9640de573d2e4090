"""StringLookup: strings and their indices."""

from stepfit.core import errors
from stepfit.layers.preprocessing.index_lookup import IndexLookup
from stepfit.layers.preprocessing.strings import to_text


class StringLookup(IndexLookup):
    """Maps strings to the indices that they have in a vocabulary, or back.

    Args:
        max_tokens: int, most indices that there may be, special ones included; None: any number.
        num_oov_indices: how many indices strings out of the vocabulary share, by their hash; with
            0 they are an error.
        mask_token: string that means "nothing here" and gets index 0; None: there is none.
        oov_token: what an index out of the vocabulary becomes with `invert`.
        vocabulary: list or array of strings, or the path of a text file with one per line; None:
            `adapt` learns it.
        idf_weights: list or array of floats, one per string; needed with "tf_idf" and `vocabulary`.
        invert: whether indices are mapped to strings.
        output_mode: "int" (indices), "one_hot" (a vector for each string), "multi_hot", "count" or
            "tf_idf" (a vector for each row).
        pad_to_max_tokens: whether the vectors are `max_tokens` long.
        sparse: False.
        encoding: of strings that come as bytes.
        salt: int, or a pair of them, that the hashes depend on.

    Input: strings of any shape: lists, NumPy arrays, tensors of TensorFlow. Output: int32 of the
    same shape, or vectors. It runs on the host: use it in a data pipeline, or on values.

    Raises:
        RuntimeError: called without a vocabulary.

    >>> import stepfit as keras
    >>> layer = keras.layers.StringLookup(vocabulary=["a", "b"])
    >>> layer([["b", "z"]]).tolist()
    [[2, 0]]
    """

    def __init__(
        self,
        max_tokens=None,
        num_oov_indices=1,
        mask_token=None,
        oov_token="[UNK]",
        vocabulary=None,
        idf_weights=None,
        invert=False,
        output_mode="int",
        pad_to_max_tokens=False,
        sparse=False,
        encoding="utf-8",
        name=None,
        salt=None,
        **kwargs,
    ):
        self.encoding = encoding
        super().__init__(
            max_tokens=max_tokens, num_oov_indices=num_oov_indices, mask_token=mask_token,
            oov_token=oov_token, vocabulary=vocabulary, idf_weights=idf_weights, invert=invert,
            output_mode=output_mode, pad_to_max_tokens=pad_to_max_tokens, sparse=sparse, name=name,
            salt=salt, oov_method=kwargs.pop("oov_method", "floormod"), **kwargs,
        )  # fmt: skip

    def _tokens(self, values, where):
        return to_text(values, where, self.encoding)

    def in_jax(self, inputs):
        if self.invert:
            raise errors.bad_type(
                f"{self._where()} input", "values", "a traced array, and JAX has no strings",
                "call the layer outside compiled code",
            )  # fmt: skip
        raise not_text(self, inputs)

    def pipeline_spec(self, inputs, check=True):
        if inputs.dtype != "string" and not self.invert:
            raise not_text(self, inputs)
        return super().pipeline_spec(inputs, check)


def not_text(layer, inputs):
    """Return the error for numbers in place of strings."""
    return errors.bad_type(
        f"{layer._where()} input", "strings", f"numbers ({inputs.dtype})",
        "use IntegerLookup for integers, and Input(..., dtype='string') for strings",
    )  # fmt: skip
