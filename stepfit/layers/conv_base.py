"""What convolution layers share: one constructor and one call per family, for any rank."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import activations, constraints, initializers, ops, regularizers
from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class Convolution(Layer):
    """Base: geometry, bias, activation. Subclasses set `rank`, give `_kernels` and `_apply`."""

    rank = 2
    paddings: tuple[str, ...] = ("valid", "same")
    filters: int
    _kernels: Callable[[int], None]
    _apply: Callable[[Any], Any]

    def _set_geometry(self, kernel_size, strides, padding, data_format, dilation_rate):
        name = type(self).__name__
        self.kernel_size = arguments.ints(kernel_size, self.rank, f"{name}(kernel_size)")
        self.strides = arguments.ints(strides, self.rank, f"{name}(strides)")
        self.dilation_rate = arguments.ints(dilation_rate, self.rank, f"{name}(dilation_rate)")
        self.padding = arguments.padding(padding, f"{name}(padding)", self.paddings)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)

    def _set_weights(self, activation, use_bias, **settings):
        """Keep initializers, regularizers and constraints, given as ``{name}_initializer=...``."""
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        families = {
            "initializer": initializers, "regularizer": regularizers, "constraint": constraints
        }  # fmt: skip
        for name, value in settings.items():
            setattr(self, name, families[name.rpartition("_")[2]].get(value))

    @property
    def _channel_axis(self):
        return -1 if self.data_format == "channels_last" else 1

    def _weight(self, name, shape, settings):
        """Make the weight `name`, with the settings kept under `settings`."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{settings}_initializer"),
            regularizer=getattr(self, f"{settings}_regularizer"),
            constraint=getattr(self, f"{settings}_constraint"),
        )

    def build(self, input_shape):
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise errors.bad_value(
                f"{self._where()} input axis {self._channel_axis}", "a known number of channels",
                "None", f"give the Input its channels (data_format is {self.data_format!r})",
            )  # fmt: skip
        self._kernels(channels)
        self.bias = None
        if self.use_bias:
            self.bias = self._weight("bias", (self._output_channels(channels),), "bias")
        self.input_spec = InputSpec(
            min_ndim=self.rank + 2, max_ndim=self.rank + 2, axes={self._channel_axis: channels}
        )

    def _output_channels(self, channels):
        return self.filters

    def call(self, inputs):
        x = self._apply(inputs)
        if self.bias is not None:
            shape = [1] * x.ndim
            shape[self._channel_axis] = -1
            x = x + jnp.reshape(self.bias.value, shape)
        return x if self.activation is None else self.activation(x)


class Conv(Convolution):
    """Convolution with any `rank`; the arguments are documented at `Conv2D`."""

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        name = type(self).__name__
        self.filters = arguments.positive_int(filters, f"{name}(filters)")
        self.groups = arguments.positive_int(groups, f"{name}(groups)")
        if self.filters % self.groups:
            raise errors.bad_value(
                f"{name}(filters)", f"a multiple of groups={self.groups}", f"{self.filters}"
            )
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_weights(
            activation, use_bias, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def _kernels(self, channels):
        if channels % self.groups:
            raise errors.bad_value(
                f"{self._where()} input axis {self._channel_axis}",
                f"channels that groups={self.groups} divides", f"{channels} channels",
            )  # fmt: skip
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._weight("kernel", shape, "kernel")

    def _apply(self, inputs):
        return self.convolution_op(inputs, self.kernel.value)

    def convolution_op(self, inputs, kernel):
        """Convolve `inputs` with `kernel`; subclasses may change either (standardize it, say)."""
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            steps = 1 if self.data_format == "channels_last" else 2
            inputs = jnp.pad(inputs, [(before * (a == steps), 0) for a in range(3)])
            padding = "valid"
        return ops.conv(inputs, kernel, self.strides, padding, self.data_format, self.dilation_rate)


class ConvTranspose(Convolution):
    """Transposed convolution with any `rank`; the arguments are documented at `Conv2DTranspose`."""

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        name = type(self).__name__
        self.filters = arguments.positive_int(filters, f"{name}(filters)")
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = arguments.ints(
                output_padding, self.rank, f"{name}(output_padding)", minimum=0
            )
            for extra, stride in zip(self.output_padding, self.strides, strict=True):
                if extra >= stride:
                    raise errors.bad_value(
                        f"{name}(output_padding)", f"less than strides={self.strides}",
                        f"{self.output_padding}",
                    )  # fmt: skip
        self._set_weights(
            activation, use_bias, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def _kernels(self, channels):
        shape = (*self.kernel_size, self.filters, channels)
        self.kernel = self._weight("kernel", shape, "kernel")

    def _apply(self, inputs):
        return ops.conv_transpose(
            inputs, self.kernel.value, self.strides, self.padding, self.output_padding,
            self.data_format, self.dilation_rate,
        )  # fmt: skip


class DepthwiseConv(Convolution):
    """Depthwise convolution with any `rank`; arguments documented at `DepthwiseConv2D`."""

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        name = type(self).__name__
        self.depth_multiplier = arguments.positive_int(
            depth_multiplier, f"{name}(depth_multiplier)"
        )
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_weights(
            activation, use_bias, depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer, depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer, depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def _output_channels(self, channels):
        return channels * self.depth_multiplier

    def _kernels(self, channels):
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._weight("kernel", shape, "depthwise")

    def _apply(self, inputs):
        return ops.depthwise_conv(
            inputs, self.kernel.value, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip


class SeparableConv(Convolution):
    """Separable convolution with any `rank`; arguments documented at `SeparableConv2D`."""

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        name = type(self).__name__
        self.filters = arguments.positive_int(filters, f"{name}(filters)")
        self.depth_multiplier = arguments.positive_int(
            depth_multiplier, f"{name}(depth_multiplier)"
        )
        self._set_geometry(kernel_size, strides, padding, data_format, dilation_rate)
        self._set_weights(
            activation, use_bias, depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer, bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def _kernels(self, channels):
        deep = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self._weight("depthwise_kernel", deep, "depthwise")
        flat = (*([1] * self.rank), channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self._weight("pointwise_kernel", flat, "pointwise")

    def _apply(self, inputs):
        return ops.separable_conv(
            inputs, self.depthwise_kernel.value, self.pointwise_kernel.value, self.strides,
            self.padding, self.data_format, self.dilation_rate,
        )  # fmt: skip
