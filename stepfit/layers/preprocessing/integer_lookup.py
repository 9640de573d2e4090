"""IntegerLookup: integers and their indices."""

import numpy as np

from stepfit.core import errors
from stepfit.layers.preprocessing.index_lookup import IndexLookup
from stepfit.layers.preprocessing.strings import array_of


class IntegerLookup(IndexLookup):
    """Maps integers to the indices that they have in a vocabulary, or back.

    Args:
        max_tokens: int, most indices that there may be, special ones included; None: any number.
        num_oov_indices: how many indices integers out of the vocabulary share; with 0 they are an
            error (-1 in compiled code).
        mask_token: integer that means "nothing here" and gets index 0; None: there is none.
        oov_token: what an index out of the vocabulary becomes with `invert`.
        vocabulary: list or array of integers, or the path of a text file with one per line; None:
            `adapt` learns it.
        vocabulary_dtype: "int64".
        idf_weights: list or array of floats, one per token; needed with "tf_idf" and `vocabulary`.
        invert: whether indices are mapped to tokens.
        output_mode: "int" (indices), "one_hot" (a vector for each token), "multi_hot", "count" or
            "tf_idf" (a vector for each row).
        sparse: False.
        pad_to_max_tokens: whether the vectors are `max_tokens` long.
        oov_method: "floormod" (the rest of a division) or "farmhash", which says which index an
            integer out of the vocabulary gets.
        salt: int, or a pair of them, that the hashes of "farmhash" depend on.

    Input: integers of any shape. Output: int32 of the same shape, or vectors. It works in compiled
    models too; 64-bit integers are told apart outside of them.

    Raises:
        RuntimeError: called without a vocabulary.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.IntegerLookup(vocabulary=[12, 36])
    >>> layer(np.array([[36, 7]])).tolist()
    [[2, 0]]
    """

    token_dtype = "int64"

    def __init__(
        self,
        max_tokens=None,
        num_oov_indices=1,
        mask_token=None,
        oov_token=-1,
        vocabulary=None,
        vocabulary_dtype="int64",
        idf_weights=None,
        invert=False,
        output_mode="int",
        sparse=False,
        pad_to_max_tokens=False,
        oov_method="floormod",
        salt=None,
        name=None,
        **kwargs,
    ):
        if vocabulary_dtype != "int64":
            raise errors.bad_value(
                "IntegerLookup(vocabulary_dtype)", "'int64'", repr(vocabulary_dtype)
            )
        if salt is not None and oov_method != "farmhash":
            raise errors.bad_value(
                "IntegerLookup(salt)", f"None, with oov_method={oov_method!r}", repr(salt)
            )
        self.vocabulary_dtype = vocabulary_dtype
        super().__init__(
            max_tokens=max_tokens, num_oov_indices=num_oov_indices, mask_token=mask_token,
            oov_token=oov_token, vocabulary=vocabulary, idf_weights=idf_weights, invert=invert,
            output_mode=output_mode, sparse=sparse, pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method, salt=salt, name=name, **kwargs,
        )  # fmt: skip

    def _tokens(self, values, where):
        array = array_of(values, where)
        if array.dtype.kind not in "biuf":
            raise errors.bad_type(where, "integers", errors.describe(array))
        return array.astype(np.int64)

    def _parse(self, lines, where):
        try:
            return [int(line) for line in lines]
        except ValueError:
            raise errors.bad_value(where, "an integer in each line", "something else") from None
