"""One row per layer configuration: what to construct, and the shapes to call it on."""

import dataclasses

from stepfit.core import registry


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer configuration and its inputs.

    `shapes` holds one shape, or a list of shapes for layers that take several inputs. `integers`
    is the upper bound of integer inputs. `train` says that the output in training differs from
    inference and is deterministic. `random` says that training draws random numbers. `spread` says
    that several inputs are arguments of their own; `extra` holds further arguments of the call.
    `masked` says that inputs of more than two axes are tried with a mask of their steps, where the
    layer supports masks. A setting may be a `Made`, for a layer to be made of the same library.
    """

    cls: str
    kwargs: dict
    shapes: tuple | list
    integers: int | None = None
    train: bool = False
    random: bool = False
    spread: bool = False
    extra: dict = dataclasses.field(default_factory=dict)
    masked: bool = True

    @property
    def id(self):
        given = {**self.kwargs, **self.extra}
        text = ",".join(f"{k}={getattr(v, '__name__', v)}" for k, v in given.items())
        return f"{self.cls}({text}){self.shapes}".replace(" ", "")


@dataclasses.dataclass(frozen=True)
class Made:
    """A layer to be made: the name of its class and its settings."""

    cls: str
    kwargs: dict

    def __repr__(self):
        return f"{self.cls}({','.join(f'{k}={v}' for k, v in self.kwargs.items())})"


def made(cls, **kwargs):
    return Made(cls, kwargs)


def row(cls, shapes, integers=None, train=False, random=False, spread=False, extra=None,
        masked=True, **kwargs):  # fmt: skip
    return Row(cls, kwargs, shapes, integers, train, random, spread, extra or {}, masked)


@registry.register_keras_serializable("tests")
def scaled(x, factor=2.0):
    return factor * x


SEQ, IMG, VOL = (2, 7, 4), (2, 6, 5, 4), (1, 4, 5, 4, 2)
SEQ_FIRST, IMG_FIRST = (2, 4, 7), (2, 4, 6, 5)

CORE = [
    row("Dense", (3, 5), units=4),
    row("Dense", (3, 2, 5), units=4, activation="relu", use_bias=False),
    row("Dense", (3, 5), units=2, kernel_regularizer="l2", bias_initializer="ones",
        activity_regularizer="l1"),
    row("Embedding", (2, 6), integers=9, input_dim=9, output_dim=3),
    row("Embedding", (2, 6), integers=9, input_dim=9, output_dim=3, mask_zero=True),
    row("ReversibleEmbedding", (2, 6), integers=9, input_dim=9, output_dim=3, mask_zero=True),
    row("ReversibleEmbedding", (2, 3), extra={"reverse": True}, input_dim=9, output_dim=3,
        logit_soft_cap=2.0),
    row("ReversibleEmbedding", (2, 6, 3), extra={"reverse": True}, input_dim=9, output_dim=3,
        tie_weights=False),
    row("Activation", (3, 5), activation="tanh"),
    row("Activation", (3, 5), activation="softmax"),
    row("Identity", (3, 5)),
    row("Lambda", (3, 5), function=scaled),
    row("Lambda", (3, 5), function=scaled, arguments={"factor": 3.0}),
    row("Masking", SEQ, mask_value=0.0),
    row("Rescaling", IMG, scale=1 / 255, offset=-1.0),
    row("Rescaling", IMG, scale=[1.0, 2.0, 3.0, 4.0], offset=0.5),
]  # fmt: skip

ACTIVATION = [
    row("LeakyReLU", (3, 5)),
    row("LeakyReLU", (3, 5), negative_slope=0.1),
    row("ReLU", (3, 5)),
    row("ReLU", (3, 5), max_value=1.0, negative_slope=0.2, threshold=0.1),
    row("ReLU", (3, 5), threshold=0.5),
    row("ELU", (3, 5), alpha=0.7),
    row("PReLU", (3, 5), alpha_initializer="ones"),
    row("PReLU", IMG, shared_axes=[1, 2]),
    row("Softmax", (3, 5)),
    row("Softmax", (3, 4, 5), axis=1, masked=False),
    row("Softmax", (3, 4, 5), axis=[1, 2], masked=False),
]

RESHAPE = [
    row("Flatten", IMG, masked=False),
    row("Flatten", (4,)),
    row("Flatten", IMG, data_format="channels_first"),
    row("Reshape", (2, 6), target_shape=(3, 2)),
    row("Reshape", (2, 6, 2), target_shape=(-1, 4)),
    row("Permute", SEQ, dims=(2, 1)),
    row("RepeatVector", (3, 5), n=3),
    row("ZeroPadding1D", SEQ, padding=2),
    row("ZeroPadding1D", SEQ_FIRST, padding=(1, 2), data_format="channels_first"),
    row("ZeroPadding2D", IMG),
    row("ZeroPadding2D", IMG, padding=((1, 0), (2, 3))),
    row("ZeroPadding2D", IMG_FIRST, padding=(1, 2), data_format="channels_first"),
    row("ZeroPadding3D", VOL, padding=(1, 0, 2)),
    row("Cropping1D", SEQ, cropping=(1, 2)),
    row("Cropping2D", IMG, cropping=((1, 0), (2, 1))),
    row("Cropping2D", IMG_FIRST, cropping=1, data_format="channels_first"),
    row("Cropping3D", VOL, cropping=((1, 0), (1, 2), (0, 1))),
    row("UpSampling1D", SEQ, size=3),
    row("UpSampling2D", IMG, size=(2, 3)),
    row("UpSampling2D", IMG, size=2, interpolation="bilinear"),
    row("UpSampling2D", IMG_FIRST, size=2, interpolation="bicubic", data_format="channels_first"),
    row("UpSampling2D", IMG, size=2, interpolation="lanczos3"),
    row("UpSampling3D", VOL, size=(1, 2, 2)),
]

CONV = [
    row("Conv1D", SEQ, filters=3, kernel_size=3),
    row("Conv1D", SEQ, filters=3, kernel_size=3, padding="causal", dilation_rate=2),
    row("Conv1D", SEQ, filters=4, kernel_size=2, strides=2, padding="same", groups=2),
    row("Conv1D", SEQ_FIRST, filters=3, kernel_size=3, padding="causal",
        data_format="channels_first"),
    row("Conv2D", IMG, filters=3, kernel_size=3),
    row("Conv2D", IMG, filters=3, kernel_size=(2, 3), strides=2, padding="same",
        activation="relu"),
    row("Conv2D", IMG, filters=4, kernel_size=2, groups=2, use_bias=False),
    row("Conv2D", IMG, filters=3, kernel_size=2, dilation_rate=(2, 1), padding="same"),
    row("Conv2D", IMG_FIRST, filters=3, kernel_size=2, data_format="channels_first"),
    row("Conv3D", VOL, filters=3, kernel_size=2, padding="same", strides=(1, 2, 1)),
    row("Conv1DTranspose", SEQ, filters=3, kernel_size=3, strides=2),
    row("Conv1DTranspose", SEQ, filters=3, kernel_size=2, strides=3, padding="same"),
    row("Conv1DTranspose", SEQ, filters=3, kernel_size=3, strides=2, output_padding=1),
    row("Conv2DTranspose", IMG, filters=3, kernel_size=3, strides=2, padding="same"),
    row("Conv2DTranspose", IMG, filters=3, kernel_size=(2, 5), strides=3, padding="same",
        output_padding=(1, 2)),
    row("Conv2DTranspose", IMG, filters=3, kernel_size=2, dilation_rate=2, use_bias=False),
    row("Conv2DTranspose", IMG, filters=3, kernel_size=4, strides=2, padding="same",
        output_padding=0),
    row("Conv2DTranspose", IMG_FIRST, filters=2, kernel_size=2, strides=3,
        data_format="channels_first"),
    row("Conv3DTranspose", VOL, filters=2, kernel_size=2, strides=2, padding="same"),
    row("DepthwiseConv1D", SEQ, kernel_size=3, depth_multiplier=2),
    row("DepthwiseConv2D", IMG, kernel_size=3, strides=2, padding="same", activation="tanh"),
    row("DepthwiseConv2D", IMG_FIRST, kernel_size=2, depth_multiplier=2,
        data_format="channels_first"),
    row("SeparableConv1D", SEQ, filters=3, kernel_size=3, padding="same"),
    row("SeparableConv2D", IMG, filters=3, kernel_size=2, depth_multiplier=2),
    row("SeparableConv2D", IMG, filters=3, kernel_size=2, dilation_rate=2, use_bias=False),
]  # fmt: skip

POOLING = [
    row("MaxPooling1D", SEQ),
    row("MaxPooling1D", SEQ, pool_size=3, strides=2, padding="same"),
    row("MaxPooling2D", IMG),
    row("MaxPooling2D", IMG_FIRST, pool_size=(2, 3), strides=1, data_format="channels_first"),
    row("MaxPooling3D", VOL),
    row("AveragePooling1D", SEQ, pool_size=2),
    row("AveragePooling2D", IMG, pool_size=3, strides=2, padding="same"),
    row("AveragePooling2D", IMG_FIRST, pool_size=2, padding="same", data_format="channels_first"),
    row("AveragePooling3D", VOL, pool_size=2),
    row("AdaptiveAveragePooling1D", SEQ, output_size=3),
    row("AdaptiveAveragePooling2D", IMG, output_size=(4, 2)),
    row("AdaptiveAveragePooling2D", IMG_FIRST, output_size=3, data_format="channels_first"),
    row("AdaptiveAveragePooling3D", VOL, output_size=2),
    row("AdaptiveMaxPooling1D", SEQ_FIRST, output_size=3, data_format="channels_first"),
    row("AdaptiveMaxPooling2D", IMG, output_size=(4, 2)),
    row("AdaptiveMaxPooling3D", VOL, output_size=(2, 3, 2)),
    row("GlobalMaxPooling1D", SEQ),
    row("GlobalMaxPooling2D", IMG, keepdims=True),
    row("GlobalMaxPooling3D", VOL),
    row("GlobalAveragePooling1D", SEQ),
    row(
        "GlobalAveragePooling1D",
        SEQ_FIRST,
        masked=False,
        data_format="channels_first",
        keepdims=True,
    ),
    row("GlobalAveragePooling2D", IMG),
    row("GlobalAveragePooling2D", IMG_FIRST, data_format="channels_first"),
    row("GlobalAveragePooling3D", VOL),
]

NORMALIZATION = [
    row("BatchNormalization", (6, 5), train=True),
    row(
        "BatchNormalization", IMG, train=True, masked=False, momentum=0.9, epsilon=1e-2, scale=False
    ),
    row("BatchNormalization", IMG_FIRST, train=True, masked=False, axis=1, center=False),
    row("BatchNormalization", IMG, train=True, masked=False, trainable=False),
    row("LayerNormalization", (6, 5)),
    row("LayerNormalization", IMG, axis=[1, 2], epsilon=1e-2),
    row("LayerNormalization", SEQ, scale=False, center=False),
    row("GroupNormalization", IMG, groups=2),
    row("GroupNormalization", IMG_FIRST, groups=-1, axis=1, scale=False),
    row("RMSNormalization", SEQ),
    row("UnitNormalization", SEQ),
    row("UnitNormalization", SEQ, axis=[1, 2]),
    row("SpectralNormalization", (3, 5), train=True, layer=made("Dense", units=4)),
    row(
        "SpectralNormalization",
        IMG,
        train=True,
        masked=False,
        power_iterations=3,
        layer=made("Conv2D", filters=3, kernel_size=2),
    ),
]

REGULARIZATION = [
    row("Dropout", SEQ, random=True, rate=0.4, seed=3),
    row("Dropout", SEQ, random=True, rate=0.4, seed=3, noise_shape=(None, 1, None)),
    row("Dropout", SEQ, train=True, rate=0),
    row("SpatialDropout1D", SEQ, random=True, rate=0.4, seed=3),
    row("SpatialDropout2D", IMG, random=True, rate=0.4, seed=3, data_format="channels_last"),
    row("SpatialDropout3D", (2, 2, 3, 2, 6), random=True, rate=0.4, seed=3),
    row("GaussianNoise", SEQ, random=True, stddev=0.4, seed=3),
    row("GaussianDropout", SEQ, random=True, rate=0.4, seed=3),
    row("AlphaDropout", SEQ, random=True, rate=0.4, seed=3),
    row("ActivityRegularization", SEQ, l1=0.1, l2=0.2),
]

MERGING = [
    row("Add", [SEQ, SEQ, SEQ]),
    row("Add", [(2, 7, 4), (2, 1, 4)], masked=False),
    row("Add", [(2, 7, 4), (2, 4)], masked=False),
    row("Subtract", [SEQ, SEQ]),
    row("Multiply", [SEQ, SEQ]),
    row("Average", [SEQ, SEQ, SEQ]),
    row("Maximum", [SEQ, SEQ]),
    row("Minimum", [SEQ, SEQ]),
    row("Concatenate", [SEQ, (2, 7, 3)]),
    row("Concatenate", [SEQ, (2, 3, 4)], axis=1),
    row("Dot", [(3, 5), (3, 5)], axes=1),
    row("Dot", [(2, 3, 5), (2, 6, 3)], axes=(1, 2)),
    row("Dot", [(2, 3, 5), (2, 5)], axes=-1, normalize=True),
]

# Recurrent layers always hold the state of a seed generator, as Keras's do: `seed` makes it equal.
RECURRENT = [
    row("SimpleRNN", SEQ, units=3, seed=1),
    row("SimpleRNN", SEQ, units=3, seed=1, use_bias=False, activation="relu", return_state=True,
        go_backwards=True),
    row("LSTM", SEQ, units=3, seed=1),
    row("LSTM", SEQ, units=3, seed=1, return_sequences=True, return_state=True),
    row("LSTM", SEQ, units=3, seed=1, go_backwards=True, return_sequences=True, use_bias=False,
        recurrent_activation="hard_sigmoid", activation=None),
    row("LSTM", SEQ, units=2, seed=1, unroll=True, implementation=1, kernel_regularizer="l2",
        recurrent_regularizer="l1", activity_regularizer="l2", unit_forget_bias=False),
    row("GRU", SEQ, units=3, seed=1),
    row("GRU", SEQ, units=3, seed=1, return_sequences=True, reset_after=False),
    row("GRU", SEQ, units=3, seed=1, use_bias=False, return_state=True, go_backwards=True),
    row("GRU", SEQ, units=3, seed=1, reset_after=False, use_bias=False, implementation=1),
    row("RNN", SEQ, cell=made("GRUCell", units=3, seed=1), return_sequences=True),
    row("RNN", SEQ, cell=made("StackedRNNCells", cells=[
        made("LSTMCell", units=3, seed=1), made("LSTMCell", units=2, seed=2)]),
        return_state=True),
    row("RNN", SEQ, cell=[made("SimpleRNNCell", units=3, seed=1), made("LSTMCell", units=2,
                                                                       seed=2)]),
    row("Bidirectional", SEQ, layer=made("LSTM", units=3, seed=1)),
    row("Bidirectional", SEQ, layer=made("GRU", units=3, seed=1, return_sequences=True),
        merge_mode="ave"),
    row("Bidirectional", SEQ, layer=made("LSTM", units=2, seed=1, return_sequences=True,
                                         return_state=True), merge_mode=None),
    row("Bidirectional", SEQ, layer=made("LSTM", units=3, seed=1), merge_mode="mul",
        backward_layer=made("GRU", units=3, seed=2, go_backwards=True)),
    row("Bidirectional", SEQ, layer=made("GRU", units=2, seed=1, return_state=True),
        merge_mode="sum"),
    row("TimeDistributed", SEQ, layer=made("Dense", units=3)),
    row("TimeDistributed", IMG, layer=made("Conv1D", filters=3, kernel_size=2)),
    row("TimeDistributed", (4, 3, 5), layer=made("BatchNormalization"), train=True),
    row("ConvLSTM1D", (2, 3, 5, 2), masked=False, filters=2, kernel_size=3, seed=1),
    row("ConvLSTM2D", (1, 3, 5, 4, 2), filters=2, kernel_size=2, seed=1, padding="same",
        return_sequences=True),
    row("ConvLSTM2D", (1, 3, 2, 5, 4), filters=2, kernel_size=2, seed=1, strides=2,
        data_format="channels_first", return_state=True, use_bias=False, go_backwards=True),
    row("ConvLSTM3D", (1, 2, 3, 3, 2, 1), filters=2, kernel_size=2, seed=1, padding="same"),
]  # fmt: skip

Q, V, K = (2, 4, 6), (2, 5, 3), (2, 5, 7)

ATTENTION = [
    row("EinsumDense", (2, 4, 3), equation="abc,cd->abd", output_shape=(4, 5), bias_axes="d"),
    row("EinsumDense", (2, 4, 3), equation="abc,cde->abde", output_shape=(4, 5, 2),
        bias_axes="de", activation="tanh"),
    row("EinsumDense", (2, 4, 3), equation="abc,bcd->ad", output_shape=5),
    row("EinsumDense", (2, 4, 3), equation="abc,cde->aebd", output_shape=(2, 4, 5),
        bias_axes="e"),
    row("EinsumDense", (2, 4, 3), equation="...x,xy->...y", output_shape=5, bias_axes="y"),
    row("EinsumDense", (2, 4, 3, 5), equation="ab...,bc->ac...", output_shape=3, bias_axes="c",
        kernel_regularizer="l2"),
    row("MultiHeadAttention", [Q, Q], spread=True, num_heads=2, key_dim=3),
    row("MultiHeadAttention", [Q, V, K], spread=True, num_heads=2, key_dim=3, use_bias=False),
    row("MultiHeadAttention", [Q, V], spread=True, num_heads=2, key_dim=3, value_dim=2,
        extra={"return_attention_scores": True}),  # without, Keras on JAX refuses the sizes
    row("MultiHeadAttention", [Q, V], spread=True, num_heads=2, key_dim=3, output_shape=5,
        extra={"use_causal_mask": True}),
    row("MultiHeadAttention", [Q, Q], spread=True, num_heads=2, key_dim=3, use_gate=True,
        sliding_window=2, extra={"return_attention_scores": True, "use_causal_mask": True}),
    row("MultiHeadAttention", [(2, 3, 4, 5), (2, 3, 2, 5)], spread=True, masked=False, num_heads=2,
        key_dim=3, attention_axes=2, output_shape=(2, 3)),
    row("MultiHeadAttention", [(2, 3, 2, 5), (2, 2, 2, 5)], spread=True, masked=False, num_heads=2,
        key_dim=3, activity_regularizer="l2", kernel_regularizer="l1"),
    row("GroupQueryAttention", [Q, (2, 5, 6)], spread=True, masked=False, head_dim=3,
        num_query_heads=4, num_key_value_heads=2),
    row("GroupQueryAttention", [Q, Q, Q], spread=True, masked=False, head_dim=3, num_query_heads=4,
        num_key_value_heads=1, use_bias=False, use_gate=True, activity_regularizer="l2",
        extra={"return_attention_scores": True, "use_causal_mask": True}),
    row("GroupQueryAttention", [Q, Q], spread=True, masked=False, head_dim=3, num_query_heads=2,
        num_key_value_heads=2, sliding_window=2),
    row("Attention", [Q, (2, 5, 6)]),
    row("Attention", [Q, (2, 5, 3), (2, 5, 6)], use_scale=True,
        extra={"return_attention_scores": True}),
    row("Attention", [Q, Q], use_scale=True, score_mode="concat",
        extra={"use_causal_mask": True}),
    row("AdditiveAttention", [Q, (2, 5, 6)]),
    row("AdditiveAttention", [Q, (2, 5, 6)], use_scale=False),
]  # fmt: skip

# Layers of strings, those whose results are integers, and what `adapt` learns are in tests/layers.
PREPROCESSING = [
    row("Normalization", (6, 5), mean=[0.5, 1, 1.5, 2, 3], variance=[1.0, 2, 3, 4, 5]),
    row("Normalization", SEQ, axis=1, mean=0.5, variance=4.0, invert=True),
    row("CategoryEncoding", (3, 4), integers=6, num_tokens=6),
    row("CategoryEncoding", (3, 4), integers=6, num_tokens=6, output_mode="one_hot"),
    row("CategoryEncoding", (3, 4), integers=6, num_tokens=6, output_mode="count"),
    row("Discretization", (3, 4), bin_boundaries=[-0.5, 0.0, 1.0], output_mode="one_hot"),
    row("Discretization", (3, 1), bin_boundaries=[-0.5, 0.0, 1.0], output_mode="one_hot"),
    row("Discretization", (3, 4), bin_boundaries=[-0.5, 0.0, 1.0], output_mode="multi_hot"),
    row("Discretization", (3, 4), bin_boundaries=[-0.5, 0.0, 1.0], output_mode="count"),
    row("MelSpectrogram", (2, 90), fft_length=16, sequence_stride=8, num_mel_bins=4,
        sampling_rate=8000),
    row("MelSpectrogram", (2, 90), fft_length=16, sequence_stride=8, sequence_length=12,
        num_mel_bins=4, power_to_db=False, window="hamming", mag_exp=1.0, max_freq=3000.0),
    row("STFTSpectrogram", (2, 30, 3), frame_length=8),
    row("STFTSpectrogram", (2, 30, 3), mode="magnitude", frame_length=8, expand_dims=True),
    row("STFTSpectrogram", (2, 3, 30), mode="psd", frame_length=6, frame_step=2, padding="same",
        data_format="channels_first", scaling=None),
    row("STFTSpectrogram", (2, 3, 30), mode="stft", frame_length=8, expand_dims=True,
        data_format="channels_first"),
    row("STFTSpectrogram", (2, 30, 3), mode="real", frame_length=8, fft_length=16, window=None),
    row("STFTSpectrogram", (2, 30, 1), mode="imag", frame_length=8, periodic=True),
    row("STFTSpectrogram", (2, 30, 1), mode="angle", frame_length=8, window="hamming",
        scaling="spectrum"),
]  # fmt: skip

IMAGES = [
    row("Resizing", IMG, height=4, width=7),
    row("Resizing", IMG, height=9, width=3, interpolation="bicubic", antialias=True),
    row("Resizing", IMG, height=4, width=7, crop_to_aspect_ratio=True, interpolation="nearest"),
    row("Resizing", IMG_FIRST, height=9, width=3, pad_to_aspect_ratio=True, fill_value=0.5,
        data_format="channels_first"),
    row("CenterCrop", IMG, height=3, width=4),
    row("CenterCrop", IMG_FIRST, height=9, width=3, data_format="channels_first"),
    row("RandomFlip", IMG, random=True, seed=3, mode="vertical"),
    row("RandomRotation", IMG, random=True, seed=3, factor=0.2),
    row("RandomZoom", IMG, random=True, seed=3, height_factor=0.4, fill_mode="nearest"),
    row("RandomTranslation", IMG, random=True, seed=3, height_factor=0.4, width_factor=(-0.2, 0),
        fill_mode="constant", interpolation="nearest"),
    row("RandomContrast", IMG, random=True, seed=3, factor=0.4, value_range=(-9, 9)),
    row("RandomBrightness", IMG, random=True, seed=3, factor=0.4, value_range=(-9, 9)),
    row("RandomCrop", IMG, seed=3, height=6, width=5),
]  # fmt: skip

ROWS = [
    *CORE, *ACTIVATION, *RESHAPE, *CONV, *POOLING, *NORMALIZATION, *REGULARIZATION, *MERGING,
    *RECURRENT, *ATTENTION, *PREPROCESSING, *IMAGES,
]  # fmt: skip
