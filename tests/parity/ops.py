"""One row per op call: name, positional arguments, keyword arguments."""

import numpy as np

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape).astype("float32")


X, Y, P = normal(3, 4), normal(3, 4), rng.uniform(0.1, 0.9, (3, 4)).astype("float32")
V, W, BOX = normal(5), normal(5), normal(2, 3, 4)
integers, J = rng.integers(0, 6, (3, 4)).astype("int32"), rng.integers(1, 5, (3, 4)).astype("int32")
B, C = integers > 2, J > 2
NAN = np.where(integers == 1, np.nan, X).astype("float32")
Z = (X + 1j * Y).astype("complex64")
SQUARE, PAIR = normal(3, 3), normal(2, 3, 3)
SPD = (SQUARE @ SQUARE.T + 3 * np.eye(3)).astype("float32")
SEQ, IMG = normal(2, 7, 4), normal(2, 6, 5, 4)
SOFT = (P / P.sum(-1, keepdims=True)).astype("float32")

UNARY = {
    "X": (
        "abs absolute arctan arcsinh cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor negative "
        "i0 rad2deg reciprocal round sign signbit sin sinc sinh square tan tanh trunc isfinite "
        "isinf isnan isneginf isposinf isreal logical_not copy ravel real imag conj conjugate angle"
        " mean sum prod max min amax amin std var median ptp argmax argmin all any cumsum cumprod "
        "sort argsort flip fliplr flipud transpose squeeze diff trace diagonal tril triu diag "
        "diagflat nan_to_num count_nonzero average corrcoef nanmax nanmin nansum nanmean nanstd "
        "nanvar nanprod nanargmax nanargmin nanmedian nancumsum nancumprod zeros_like ones_like "
        "rot90 nonzero array convert_to_tensor relu relu6 sigmoid sparse_sigmoid tanh_shrink "
        "softplus softsign soft_shrink sparse_plus silu swish squareplus log_sigmoid leaky_relu "
        "hard_sigmoid hard_silu hard_swish elu selu gelu celu glu hard_tanh hard_shrink softmax "
        "log_softmax normalize erf erfc logsumexp norm matrix_rank pinv qr unstack "
        "layer_normalization rms_normalization stop_gradient svd"
    ),
    "P": "log log10 log1p log2 sqrt rsqrt arccos arcsin arctanh erfinv",
    "P1": "arccosh",
    "I": "bitwise_not bitwise_invert mean sum prod max cumsum exp sqrt var std",
    "B": "all any sum logical_not",
    "SPD": "cholesky det inv eigh slogdet logdet lu_factor cholesky_inverse",
    "NAN": "nanmax nanmin nansum nanmean nanstd nanvar nanprod nancumsum nanmedian nan_to_num",
}
BINARY = {
    "XY": (
        "add subtract multiply divide true_divide floor_divide mod fmod power_abs maximum minimum "
        "fmax fmin hypot arctan2 logaddexp logaddexp2 heaviside nextafter equal not_equal greater "
        "greater_equal less less_equal isclose allclose divide_no_nan logical_and logical_or "
        "logical_xor inner outer vdot cdist append"
    ),
    "IJ": (
        "add multiply divide floor_divide mod power gcd lcm bitwise_and bitwise_or bitwise_xor "
        "bitwise_left_shift bitwise_right_shift left_shift right_shift equal isin"
    ),
    "VW": "dot vdot inner outer kron correlate tensordot_1",
}
DATA = {"X": X, "Y": Y, "P": P, "P1": P + 1, "I": integers, "J": J, "B": B, "SPD": SPD, "NAN": NAN,
        "V": V, "W": W}  # fmt: skip

ROWS = [(name, (DATA[key],), {}) for key, names in UNARY.items() for name in names.split()]
ROWS += [
    (name, (DATA[key[0]], DATA[key[1]]), {})
    for key, names in BINARY.items()
    for name in names.split()
    if name not in ("power_abs", "tensordot_1")
]
ROWS += [
    # Numbers and lists as arguments.
    ("add", (X, 2.5), {}),
    ("add", ([[1, 2], [3, 4]], 1), {}),
    ("power", (P, Y), {}),
    ("tensordot", (V, W), {"axes": 1}),
    ("tensordot", (X, Y.T), {"axes": [[1], [0]]}),
    ("ldexp", (X, J), {}),
    ("clip", (X, -0.5, 0.5), {}),
    ("clip", (B, 0, 1), {}),
    ("clip", (X, -0.5, np.full((4,), 0.3, "float32")), {}),
    ("round", (X,), {"decimals": 1}),
    ("round", (integers * 13,), {"decimals": -1}),
    ("nan_to_num", (NAN,), {"nan": 2.0}),
    # Makers.
    ("zeros", ((2, 3),), {}),
    ("ones", ((2, 3),), {"dtype": "int32"}),
    ("full", ((2, 3), 7), {}),
    ("eye", (3,), {}),
    ("eye", (3, 4), {"k": 1, "dtype": "int32"}),
    ("identity", (3,), {}),
    ("tri", (3, 4), {"k": -1}),
    ("arange", (5,), {}),
    ("arange", (1, 7, 2), {}),
    ("arange", (0.0, 1.0, 0.25), {}),
    ("arange", (5,), {"dtype": "float32"}),
    ("linspace", (0, 1), {"num": 5}),
    ("linspace", (0, 1), {"num": 5, "endpoint": False, "retstep": True}),
    ("logspace", (0, 2), {"num": 5}),
    ("geomspace", (1, 100), {"num": 5}),
    ("full_like", (X, 2), {}),
    ("zeros_like", (X,), {"dtype": "int32"}),
    ("empty_like", (np.zeros((2, 3), "float32"),), {}),
    ("array", ([1.0, 2.0],), {}),
    ("meshgrid", (V, W), {"indexing": "ij"}),
    ("vander", (V,), {"N": 3}),
    ("bartlett", (6,), {}),
    ("blackman", (6,), {}),
    ("hamming", (6,), {}),
    ("hanning", (6,), {}),
    ("kaiser", (6, 3.0), {}),
    # Reductions along axes.
    *[(name, (BOX,), {"axis": 1, "keepdims": True}) for name in
      "mean sum prod max min amax amin std var median ptp all any argmax argmin logsumexp "
      "nanmean nansum nanmax".split()],
    *[(name, (BOX,), {"axis": (0, 2)}) for name in "mean sum max std var median".split()],
    ("max", (X,), {"axis": 0, "initial": 1.0}),
    ("cumsum", (X,), {"axis": 1}),
    ("cumprod", (integers,), {"axis": 0, "dtype": "float32"}),
    ("average", (X,), {"axis": 1, "weights": P}),
    ("quantile", (X, 0.3), {}),
    ("quantile", (BOX, [0.2, 0.7]), {"axis": 1, "keepdims": True}),
    ("percentile", (X, 30.0), {"axis": 1}),
    ("nanquantile", (NAN, 0.3), {}),
    ("nanpercentile", (NAN, 30.0), {}),
    ("trapezoid", (X,), {"dx": 0.5}),
    ("diff", (X,), {"n": 2, "axis": 0}),
    ("count_nonzero", (integers,), {"axis": 1}),
    # Order and search.
    ("sort", (X,), {"axis": 0}),
    ("argsort", (integers,), {"axis": 0}),
    ("digitize", (X, np.array([-1.0, 0.0, 1.0], "float32")), {}),
    ("searchsorted", (np.array([0.0, 1.0, 2.0], "float32"), V), {"side": "right"}),
    ("bincount", (integers.ravel(),), {"minlength": 8}),
    ("bincount", (integers,), {"minlength": 6}),
    ("bincount", (integers.ravel(), P.ravel()), {}),
    ("histogram", (X.ravel(),), {"bins": 4}),
    ("unique", (integers,), {}),
    ("unique", (integers,), {"return_inverse": True, "return_counts": True}),
    ("unravel_index", (np.array([3, 7], "int32"), (3, 4)), {}),
    ("argpartition", (X, 1), {}),
    ("argpartition", (BOX, 2), {"axis": 1}),
    ("top_k", (X, 2), {}),
    ("in_top_k", (np.array([1, 3, 0]), X, 2), {}),
    # Shapes.
    ("reshape", (X, (4, -1)), {}),
    ("swapaxes", (BOX, 0, 2), {}),
    ("moveaxis", (BOX, 0, -1), {}),
    ("transpose", (BOX, (2, 0, 1)), {}),
    ("expand_dims", (X, 1), {}),
    ("expand_dims", (X, (0, 2)), {}),
    ("squeeze", (X[None],), {"axis": 0}),
    ("broadcast_to", (V, (2, 5)), {}),
    ("tile", (X, (2, 1)), {}),
    ("repeat", (X, 2), {"axis": 1}),
    ("roll", (X, 1), {"axis": 1}),
    ("rot90", (BOX,), {"k": 2, "axes": (0, 2)}),
    ("concatenate", ([X, Y],), {"axis": 1}),
    ("stack", ([X, Y],), {"axis": 1}),
    ("hstack", ([X, Y],), {}),
    ("vstack", ([X, Y],), {}),
    ("dstack", ([X, Y],), {}),
    ("split", (X, 2), {"axis": 1}),
    ("split", (X, [1, 3]), {"axis": 1}),
    ("array_split", (V, 2), {}),
    ("hsplit", (X, 2), {}),
    ("vsplit", (X, 3), {}),
    ("dsplit", (BOX, 2), {}),
    ("unstack", (BOX,), {"axis": 1}),
    ("pad", (X, ((1, 0), (2, 1))), {}),
    ("pad", (X, 1), {"constant_values": 3.0}),
    ("pad", (X, 1), {"mode": "reflect"}),
    # Products, choice, lookup.
    ("matmul", (BOX, normal(4, 2)), {}),
    ("matmul", (integers.astype("int8"), J.T.astype("int8")), {}),
    ("einsum", ("ij,kj->ik", X, Y), {}),
    ("einsum", ("bij->bji", BOX), {}),
    ("dot", (BOX, normal(4, 2)), {}),
    ("cross", (normal(4, 3), normal(4, 3)), {}),
    ("where", (B, X, Y), {}),
    ("where", (B, X, 0.0), {}),
    ("where", (B,), {}),
    ("select", ([B, C], [X, Y]), {"default": 3.0}),
    ("take", (X, np.array([0, 2])), {"axis": 0}),
    ("take", (X, np.array([[1, -1]])), {}),
    ("take_along_axis", (X, integers % 4), {"axis": 1}),
    ("get_item", (X, (slice(None), 1)), {}),
    ("diag", (V,), {"k": 1}),
    ("tril", (BOX,), {"k": 1}),
    ("view", (X,), {"dtype": "int32"}),
    ("real", (Z,), {}),
    ("imag", (Z,), {}),
    ("angle", (Z,), {}),
    ("conj", (Z,), {}),
    # Control and scattered writes.
    ("cast", (X,), {"dtype": "int32"}),
    ("cast", (integers,), {"dtype": "bfloat16"}),
    ("saturate_cast", (X * 300,), {"dtype": "int8"}),
    ("saturate_cast", (X * 1e6,), {"dtype": "float16"}),
    ("saturate_cast", (integers - 3,), {"dtype": "uint8"}),
    ("convert_to_tensor", ([1, 2, 3],), {"dtype": "float32"}),
    ("scatter", (np.array([[0, 1], [2, 3], [0, 1]]), V[:3], (3, 4)), {}),
    *[("scatter_update", (X, np.array([[0, 1], [2, 3]]), V[:2]), {"reduction": r})
      for r in (None, "add", "max", "min", "mul")],
    ("slice", (X, (1, 0), (2, -1)), {}),
    ("slice_update", (X, (1, 2), normal(2, 2)), {}),
    ("segment_sum", (V, np.array([0, 0, 1, 2, 2])), {"num_segments": 3}),
    ("segment_max", (V, np.array([0, 0, 1, 2, 2])), {"num_segments": 4}),
    ("segment_min", (V, np.array([0, 0, 1, 2, 2])), {"num_segments": 3}),
    ("segment_prod", (V, np.array([0, 0, 1, 2, 2])), {"num_segments": 3}),
    # Algebra.
    ("eig", (SPD,), {}),
    ("solve", (SPD, V[:3]), {}),
    ("solve", (PAIR, normal(2, 3, 2)), {}),
    ("solve_triangular", (np.tril(SPD), SQUARE), {"lower": True}),
    ("lstsq", (X.T, V[:4]), {}),
    ("norm", (BOX,), {"ord": 1, "axis": 1}),
    ("cholesky", (SPD,), {"upper": True}),
    ("qr", (X,), {"mode": "complete"}),
    ("svd", (X,), {"compute_uv": False}),
    ("det", (PAIR,), {}),
    ("fft", ((X, Y),), {}),
    ("fft2", ((X, Y),), {}),
    ("ifft2", ((X, Y),), {}),
    ("rfft", (X,), {"fft_length": 6}),
    ("irfft", ((X, Y),), {}),
    ("view_as_complex", (normal(3, 2),), {}),
    ("view_as_real", (Z,), {}),
    # Activations with settings.
    ("leaky_relu", (X,), {"negative_slope": 0.4}),
    ("elu", (X,), {"alpha": 0.4}),
    ("celu", (X,), {"alpha": 0.4}),
    ("gelu", (X,), {"approximate": False}),
    ("glu", (X,), {"axis": 1}),
    ("squareplus", (X,), {"b": 2}),
    ("soft_shrink", (X,), {"threshold": 0.2}),
    ("hard_shrink", (X,), {"threshold": 0.2}),
    ("threshold", (X, 0.2, -1.0), {}),
    ("softmax", (BOX,), {"axis": 1}),
    ("log_softmax", (BOX,), {"axis": 1}),
    ("relu", (integers - 3,), {}),
    # Normalisation and encodings.
    ("normalize", (X,), {"axis": 0}),
    ("normalize", (X,), {"order": 1}),
    ("normalize", (X,), {"order": 3, "epsilon": 1e-3}),
    ("moments", (BOX, (0, 1)), {}),
    ("moments", (BOX, 1), {"keepdims": True}),
    ("batch_normalization", (BOX, normal(3), P[0, :3], 1), {"offset": normal(3)}),
    ("batch_normalization", (X, X[0], P[0], -1), {"scale": X[1], "epsilon": 0.1}),
    ("layer_normalization", (X, X[0], X[1]), {}),
    ("layer_normalization", (BOX, BOX[0, :, 0]), {"axis": 1, "epsilon": 1e-2}),
    ("rms_normalization", (X,), {"scale": X[0], "epsilon": 1e-2}),
    ("one_hot", (integers, 5), {}),
    ("one_hot", (integers, 5), {"axis": 1, "dtype": "int32"}),
    ("multi_hot", (integers, 6), {}),
    ("multi_hot", (integers[0], 6), {}),
    # Cross-entropies.
    ("categorical_crossentropy", (SOFT, P), {}),
    ("categorical_crossentropy", (SOFT, X), {"from_logits": True}),
    ("categorical_crossentropy", (SOFT, P), {"axis": 0}),
    ("sparse_categorical_crossentropy", (np.array([0, 3, 1]), P), {}),
    ("sparse_categorical_crossentropy", (np.array([[0], [3], [1]]), X), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (np.array([0, 7, -1]), P), {}),
    ("binary_crossentropy", (B.astype("float32"), P), {}),
    ("binary_crossentropy", (P, X), {"from_logits": True}),
    # Convolution and pooling.
    ("conv", (SEQ, normal(3, 4, 2)), {}),
    ("conv", (SEQ, normal(3, 2, 4)), {"strides": 2, "padding": "same"}),
    ("conv", (IMG, normal(2, 3, 4, 2)), {"dilation_rate": 2, "padding": "same"}),
    ("conv", (IMG.transpose(0, 3, 1, 2), normal(2, 3, 4, 2)), {"data_format": "channels_first"}),
    ("depthwise_conv", (IMG, normal(2, 2, 4, 2)), {"strides": 2}),
    ("separable_conv", (IMG, normal(2, 2, 4, 2), normal(1, 1, 8, 3)), {"padding": "same"}),
    *[("conv_transpose", (SEQ, normal(k, 2, 4)), {"strides": s, "padding": p, "output_padding": o,
                                                 "dilation_rate": d})
      for k, s, p, o, d in [(3, 2, "same", None, 1), (2, 3, "same", None, 1), (3, 1, "same", 0, 2),
                            (4, 3, "same", 2, 1), (2, 3, "valid", None, 1), (3, 2, "valid", 1, 1),
                            (3, 1, "valid", None, 2), (1, 2, "same", 1, 1)]],
    ("max_pool", (IMG, 2), {"strides": 2}),
    ("max_pool", (IMG, (2, 3)), {"strides": 1, "padding": "same"}),
    ("average_pool", (IMG, (2, 3)), {"strides": 2, "data_format": "channels_first"}),
    ("average_pool", (SEQ, 3), {"strides": 2, "padding": "same"}),
    ("depth_to_space", (IMG, 2), {}),
    ("depth_to_space", (IMG.transpose(0, 3, 1, 2), 2), {"data_format": "channels_first"}),
    ("space_to_depth", (IMG[:, :, :4], 2), {}),
    ("space_to_depth", (IMG.transpose(0, 3, 1, 2)[..., :4], 2), {"data_format": "channels_first"}),
    ("unfold", (IMG.transpose(0, 3, 1, 2), 2), {"padding": 1, "stride": 2}),
    ("fold", (normal(2, 16, 9), 6, 2), {"stride": 2}),
    ("fold", (normal(2, 6, 9), (5, 6), (2, 3)), {"padding": (0, 1), "stride": (1, 2),
                                                  "dilation": (2, 1)}),
    *[(name, (x, size), {"data_format": order})
      for name in ("adaptive_average_pool", "adaptive_max_pool")
      for x, size, order in [(SEQ, 3, None), (SEQ, 9, "channels_last"), (IMG, (4, 2), None),
                             (IMG, 3, "channels_first"), (normal(1, 4, 5, 3, 2), (2, 3, 2), None)]],
    # Sequences.
    ("ctc_loss", (J[:, :3], normal(3, 8, 6), np.array([3, 2, 1]), np.array([8, 6, 3])), {}),
    ("ctc_loss", (np.array([[1, 1], [0, 2]]), normal(2, 6, 4), np.array([2, 2]), np.array([6, 5])),
     {"mask_index": 3}),
    ("ctc_decode", (normal(3, 8, 4), np.array([8, 5, 1])), {}),
    ("ctc_decode", (normal(3, 8, 3), np.array([8, 5, 1])), {"merge_repeated": False}),
    ("ctc_decode", (normal(3, 8, 4), np.array([8, 5, 1])), {"mask_index": 3}),
    ("ctc_decode", (normal(2, 6, 4), np.array([6, 4])),
     {"strategy": "beam_search", "beam_width": 6, "top_paths": 3}),
    ("ctc_decode", (3 * normal(2, 7, 3), np.array([7, 5])),
     {"strategy": "beam_search", "beam_width": 20, "top_paths": 2, "mask_index": 2}),
    ("extract_sequences", (normal(2, 3, 11), 4, 3), {}),
    ("extract_sequences", (V, 2, 1), {}),
    ("stft", (normal(2, 40), 8, 3, 10), {}),
    ("stft", (normal(2, 40), 8, 4, 8), {"window": "hamming", "center": False}),
    ("stft", (normal(40), 8, 4, 9), {"window": None}),
    ("stft", (normal(40), 5, 4, 9), {"window": V}),
    *[("istft", ((normal(2, 9, 6), normal(2, 9, 6)), 8, 3, 10), kwargs)
      for kwargs in ({}, {"window": None}, {"center": False}, {"length": 20, "window": "hamming"})],
    # The rest.
    ("rearrange", (IMG, "b h w c -> b c (h w)"), {}),
    ("rearrange", (IMG, "b (h two) w (three c) -> (b h) (three two) w c"), {"two": 2, "c": 4}),
    ("rearrange", (X, "a b -> b a"), {}),
    ("dot_product_attention", (normal(2, 3, 2, 4), normal(2, 5, 2, 4), normal(2, 5, 2, 4)), {}),
    ("dot_product_attention", (normal(2, 3, 4, 4), normal(2, 3, 2, 4), normal(2, 3, 2, 4)),
     {"is_causal": True}),
    ("psnr", (X, Y, 2.0), {}),
    ("polar", (P, X), {}),
    # Functions as arguments.
    ("map", (lambda row: row[::-1] * 2.0, X), {}),
    ("vectorized_map", (lambda row: row / (1.0 + row[0] ** 2), X), {}),
    ("associative_scan", (lambda a, b: a * b, X), {"axis": 1}),
    ("associative_scan", (lambda a, b: a + b, X), {"reverse": True}),
    ("scan", (lambda carry, x: (carry + x, carry * x), V[0], W), {}),
    ("scan", (lambda carry, x: (carry + x, 2 * carry), V[0], W), {"reverse": True}),
    ("fori_loop", (0, 3, lambda i, x: x * (i + 1.0), X), {}),
    ("cond", (B[0, 0], lambda: X * X, lambda: 3.0 * X), {}),
    ("switch", (integers[0, 0] % 2, [lambda x: x * x, lambda x: 3.0 * x], X), {}),
    # Where gradients have edges.
    ("divide_no_nan", (P, np.where(B, X, 0).astype("float32")), {}),
    ("relu", (np.where(B, X, 0).astype("float32"),), {}),
]  # fmt: skip
