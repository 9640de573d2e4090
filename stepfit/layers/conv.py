"""Convolution layers: the public classes of the families in `conv_base`."""

from stepfit.layers.conv_base import Conv, ConvTranspose, DepthwiseConv, SeparableConv


class Conv1D(Conv):
    """Convolution over sequences ``(batch, steps, channels)``.

    Args:
        padding: "valid", "same", or "causal" (no output sees a later step).
        filters, kernel_size, strides, data_format, dilation_rate, groups, ...: as in `Conv2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Conv1D(4, 3, padding="causal")(np.ones((2, 8, 3))).shape
    (2, 8, 4)
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Conv):
    """Convolution over images: ``activation(conv(x, kernel) + bias)``.

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: int, or ``(rows, columns)``.
        padding: "valid" (windows inside the image only) or "same" (output as large as the input
            divided by the strides).
        data_format: "channels_last" ``(batch, height, width, channels)`` or "channels_first".
        groups: number of groups of channels that are convolved apart.
        activation: name or function; None: none.
        use_bias: whether a bias per filter is added.
        kernel_initializer, bias_initializer: initial weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: added to the losses.
        kernel_constraint, bias_constraint: applied after each update.

    Weights: kernel ``(*kernel_size, channels / groups, filters)``, bias ``(filters,)``.

    Raises:
        ValueError: for channels that differ from those at building, or an image too small.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
    >>> layer(np.ones((2, 16, 16, 3))).shape, layer.count_params()
    ((2, 8, 8, 8), 224)
    """


class Conv3D(Conv):
    """Convolution over volumes ``(batch, depth, height, width, channels)``; as `Conv2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Conv3D(4, 2)(np.ones((1, 4, 4, 4, 2))).shape
    (1, 3, 3, 3, 4)
    """

    rank = 3


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over sequences ``(batch, steps, channels)``; as `Conv2DTranspose`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Conv1DTranspose(4, 3, strides=2, padding="same")(np.ones((2, 8, 3))).shape
    (2, 16, 4)
    """

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over images: each element spreads over a window of the output.

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: int, or ``(rows, columns)``.
        padding: "valid" or "same" (output as large as the input times the strides).
        output_padding: None, or how much longer the output is; less than the strides.
        data_format, activation, use_bias, ...: as in `Conv2D`.

    Weights: kernel ``(*kernel_size, filters, channels)``, bias ``(filters,)``.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same")(np.ones((2, 8, 8, 3))).shape
    (2, 16, 16, 4)
    """


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over volumes; as `Conv2DTranspose`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Conv3DTranspose(2, 2, strides=2)(np.ones((1, 3, 3, 3, 2))).shape
    (1, 6, 6, 6, 2)
    """

    rank = 3

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        output_padding=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        # Keras has `data_format` before `output_padding` here, and here only.
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip


class DepthwiseConv1D(DepthwiseConv):
    """Convolution of each channel of a sequence by itself; as `DepthwiseConv2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.DepthwiseConv1D(3, depth_multiplier=2)(np.ones((2, 8, 3))).shape
    (2, 6, 6)
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Convolution of each channel of an image by itself.

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: as in `Conv2D`.
        depth_multiplier: number of outputs per channel.
        activation, use_bias, depthwise_initializer, ...: as in `Conv2D`, for the kernel.

    Weights: kernel ``(*kernel_size, channels, depth_multiplier)``, bias.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.DepthwiseConv2D(3)(np.ones((2, 8, 8, 3))).shape
    (2, 6, 6, 3)
    """


class SeparableConv1D(SeparableConv):
    """Depthwise convolution of a sequence, then a mix of the channels; as `SeparableConv2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.SeparableConv1D(4, 3)(np.ones((2, 8, 3))).shape
    (2, 6, 4)
    """

    rank = 1


class SeparableConv2D(SeparableConv):
    """Depthwise convolution of an image, then a convolution of size 1 that mixes the channels.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate: as in `Conv2D`.
        depth_multiplier: number of intermediate outputs per channel.
        activation, use_bias, depthwise_initializer, pointwise_initializer, ...: as in `Conv2D`.

    Weights: depthwise kernel, pointwise kernel, bias.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.SeparableConv2D(4, 3)(np.ones((2, 8, 8, 3))).shape
    (2, 6, 6, 4)
    """
