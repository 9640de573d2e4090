"""What ops refuse, word for word."""

import numpy as np
import pytest

from stepfit import ops
from tests.expect import refused
from tests.parity.ops import X

ERRORS = [
    (lambda: ops.conv(np.ones((1, 4, 3)), np.ones((2, 2, 4))),
     "conv(inputs): expected channels that the kernel's 2 input channels divide, found 3 "
     "channels."),
    (lambda: ops.conv(np.ones((1, 2, 1)), np.ones((3, 1, 1))),
     "conv(inputs): expected space for at least one window, found float32[1,2,1] for a kernel of "
     'shape (3, 1, 1); use padding="same", a smaller kernel or a larger input.'),
    (lambda: ops.conv(np.ones((1, 4, 1)), np.ones((3, 1, 1)), padding="sane"),
     "conv(padding): expected the name of a padding, found 'sane'; did you mean 'same'?"),
    (lambda: ops.conv(np.ones((4, 1)), np.ones((3, 1))),
     "conv(inputs, kernel): expected arrays of the same rank: batch, 1 to 3 spatial axes, "
     "channels, found float32[4,1] and float32[3,1]."),
    (lambda: ops.max_pool(np.ones((1, 4, 1)), (2, 2)),
     "max_pool(pool_size): expected a positive int or a tuple of 1 positive ints, found (2, 2)."),
    (lambda: ops.categorical_crossentropy(np.ones((2, 3)), np.ones((2, 4))),
     "categorical_crossentropy(target, output): expected arrays of the same shape, found "
     "float32[2,3] and float32[2,4]."),
    (lambda: ops.sparse_categorical_crossentropy(np.ones(3), np.ones((2, 4))),
     "sparse_categorical_crossentropy(target, output): expected a target shaped like the output "
     "without its last axis, found float32[3] and float32[2,4]."),
    (lambda: ops.scatter_update(X, [[0, 0]], [1.0], reduction="ad"),
     "scatter_update(reduction): expected the name of a reduction, found 'ad'; did you mean "
     "'add'?"),
    (lambda: ops.segment_sum(np.ones(3), np.zeros(3, int)),
     "segment_sum(num_segments): expected the number of segments, found None; shapes are fixed at "
     "compile time, pass num_segments=."),
    (lambda: ops.cholesky(-np.eye(2, dtype="float32")),
     "cholesky(x): expected a positive definite matrix, found float32[2,2] that is not one."),
    (lambda: ops.searchsorted(X, X),
     "searchsorted(sorted_sequence): expected a 1D array, found float32[3,4]; use vectorized_map "
     "over the leading axes."),
    (lambda: ops.ctc_loss(np.ones(3), np.ones((3, 2)), [1], [1]),
     "ctc_loss(target, output): expected labels (batch, labels) and logits (batch, frames, "
     "classes), found float32[3] and float32[3,2]."),
    (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], strategy="greed"),
     "ctc_decode(strategy): expected the name of a strategy, found 'greed'; did you mean 'greedy'?"
     ),
    (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], "beam_search", beam_width=2, top_paths=3),
     "ctc_decode(top_paths): expected an int from 1 to beam_width = 2, found 3."),
    (lambda: ops.extract_sequences(np.ones(3), 4, 1),
     "extract_sequences(x): expected a signal of at least 4 values, found 3 values."),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 3),
     "stft(fft_length): expected an int of at least sequence_length = 4, found 3."),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 4, window="han"),
     "stft(window): expected the name of a window, found 'han'; did you mean 'hann'?"),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 4, window=np.ones(3)),
     "stft(window): expected shape (4,), found float32[3]."),
    (lambda: ops.istft(np.ones((3, 3)), 4, 2, 4),
     "istft(x): expected a pair (real, imaginary), found float64[3,3]."),
    (lambda: ops.fold(np.ones((1, 4, 5)), 3, 2),
     "fold(x): expected shape (n, c * 4, 4), found float32[1,4,5]."),
    (lambda: ops.adaptive_max_pool(np.ones((1, 4)), 2),
     "adaptive_max_pool(inputs): expected batch, 1 to 3 spatial axes, channels, found "
     "float32[1,4]."),
    (lambda: ops.rearrange(X, "a b"),
     "rearrange(pattern): expected two sides with -> between, found 'a b'."),
    (lambda: ops.rearrange(X, "a [b] -> a b"),
     "rearrange(pattern): expected names of axes and groups (a b) on both sides of ->, found "
     "'a [b] -> a b'."),
    (lambda: ops.rearrange(X, "a b -> a c"),
     "rearrange(pattern): expected each name once on each side, found 'a b -> a c'."),
    (lambda: ops.rearrange(X, "a b c -> a b c"),
     "rearrange(tensor): expected 3 axes, found float32[3,4] for 'a b c -> a b c'."),
    (lambda: ops.rearrange(X, "a (b c) -> a b c"),
     "rearrange(**axes_lengths): expected the length of 'b' or 'c', found neither; pass b=...."),
    (lambda: ops.rearrange(X, "a (b c) -> a b c", b=3),
     "rearrange(tensor): expected an axis (b c) that 3 divides, found one of size 4."),
    (lambda: ops.normalize(X, order=0),
     "normalize(order): expected an int of at least 1, found 0."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] for _, t in ERRORS])
def test_error_texts(call, text):
    refused(call, ValueError, text)
