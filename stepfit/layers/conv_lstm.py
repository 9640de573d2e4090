"""ConvLSTM1D, 2D and 3D: LSTM whose products are convolutions."""

from typing import Any

import jax
import jax.numpy as jnp

from stepfit import activations, ops
from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.recurrent import OwnCell
from stepfit.layers.recurrent_cells import GatedCell, forget_bias, lstm_step


class ConvLSTMCell(GatedCell):
    """One step of `ConvLSTM2D` and its like, for any `rank`; arguments as there.

    Call arguments:
        inputs: ``(batch, *space, channels)``.
        states: ``[h, c]``, each ``(batch, *new_space, filters)``.

    Returns:
        ``(h, [h, c])``.
    """

    _gates = 4
    state_size = (-1, -1)  # `get_initial_state` knows

    def __init__(
        self, rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
        recurrent_activation, use_bias, unit_forget_bias, dropout, recurrent_dropout, seed,
        settings, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        name = f"ConvLSTM{rank}D"
        self.rank = rank
        self.filters = arguments.positive_int(filters, f"{name}(filters)")
        self._set_up(self.filters, activation, use_bias, **settings)
        self.kernel_size = arguments.ints(kernel_size, rank, f"{name}(kernel_size)")
        self.strides = arguments.ints(strides, rank, f"{name}(strides)")
        self.dilation_rate = arguments.ints(dilation_rate, rank, f"{name}(dilation_rate)")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise errors.bad_value(
                f"{name}(strides)", f"1, with dilation_rate={self.dilation_rate}",
                f"{self.strides}",
            )  # fmt: skip
        self.padding = arguments.padding(padding, f"{name}(padding)")
        self.data_format = standardize_data_format(data_format)
        self.recurrent_activation = activations.get(recurrent_activation) or activations.linear
        self.unit_forget_bias = unit_forget_bias
        self._set_noise(dropout, recurrent_dropout, seed, per_gate=True)

    @property
    def _channel_axis(self):
        return -1 if self.data_format == "channels_last" else 1

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise errors.bad_value(
                f"{self._where()} input", "known sizes but for the batch", f"shape {input_shape}",
                "give the Input its sizes",
            )  # fmt: skip
        self._input_shape = tuple(input_shape[1:])
        channels = input_shape[self._channel_axis]
        width = 4 * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, width))
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", (*self.kernel_size, self.filters, width)
        )
        self.bias = None
        if self.use_bias:
            start = forget_bias(self.bias_initializer, self.filters)
            self.bias = self._weight("bias", (width,), start if self.unit_forget_bias else None)

    def get_initial_state(self, batch_size=None):
        x = jax.ShapeDtypeStruct((1, *self._input_shape), self.compute_dtype)
        kernel = jax.ShapeDtypeStruct(self.kernel.shape, self.compute_dtype)
        shape = list(jax.eval_shape(self._convolve_inputs, x, kernel).shape)
        shape[0], shape[self._channel_axis] = batch_size, self.filters
        return [jnp.zeros(shape, self.compute_dtype) for _ in range(2)]

    def _convolve_inputs(self, x, kernel):
        return ops.conv(
            x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )

    def _convolve_states(self, h, kernel):
        return ops.conv(h, kernel, 1, "same", self.data_format)

    def _blocks(self, convolve, x, kernel, noise):
        """Convolve with all gates' kernels at once; with noise, gate by gate."""
        if noise is None:
            return convolve(x, kernel)
        kernels = jnp.split(kernel, 4, axis=-1)
        parts = [convolve(x * n, k) for n, k in zip(noise, kernels, strict=True)]
        return jnp.concatenate(parts, self._channel_axis)

    def call(self, inputs, states, training=False, noise=None):
        h, c = states
        noise_x, noise_h = self._noise(inputs, states, training, noise)
        z = self._blocks(self._convolve_inputs, inputs, self.kernel.value, noise_x)
        if self.bias is not None:
            shape = [1] * z.ndim
            shape[self._channel_axis] = -1
            z = z + self.bias.value.reshape(shape)
        z = z + self._blocks(self._convolve_states, h, self.recurrent_kernel.value, noise_h)
        gates = jnp.split(z, 4, axis=self._channel_axis)
        return lstm_step(gates, c, self.activation, self.recurrent_activation)


class _ConvLSTM(OwnCell):
    rank = 2

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        **kwargs,
    ):
        settings: dict[str, Any] = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "recurrent_initializer": recurrent_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "recurrent_regularizer": recurrent_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
            "recurrent_constraint": recurrent_constraint,
        }  # fmt: skip
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate,
            activation, recurrent_activation, use_bias, unit_forget_bias, dropout,
            recurrent_dropout, seed, settings, dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True), name="conv_lstm_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=self.rank + 3)


class ConvLSTM1D(_ConvLSTM):
    """`ConvLSTM2D` for sequences of rows ``(batch, steps, size, channels)``; arguments as there.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ConvLSTM1D(4, 3)(np.ones((2, 5, 8, 3))).shape
    (2, 6, 4)
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """`LSTM` over images: ``conv(x, kernel) + conv(h, recurrent_kernel)`` in place of products.

    Args:
        filters: channels of the output and of both states.
        kernel_size, strides, padding, data_format, dilation_rate: of the convolution of the
            inputs, as in `Conv2D`; the states' has the same kernel size, and "same" padding.
        activation, recurrent_activation, use_bias, unit_forget_bias: as in `LSTM`.
        kernel_initializer, recurrent_initializer, bias_initializer: initial weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: added to
            the losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout, seed: as in `LSTM`; each gate drops other inputs.
        return_sequences, return_state, go_backwards, stateful: as in `RNN`.

    Input: ``(batch, steps, rows, columns, channels)``, or channels third; output:
    ``(batch, new_rows, new_columns, filters)``, or all steps.

    Source: Shi et al., 2015, https://arxiv.org/abs/1506.04214

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
    >>> layer(np.ones((2, 5, 8, 8, 3))).shape
    (2, 5, 8, 8, 4)
    """


class ConvLSTM3D(_ConvLSTM):
    """`ConvLSTM2D` for volumes ``(batch, steps, *space, channels)``; arguments as there.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ConvLSTM3D(2, 2)(np.ones((1, 3, 4, 4, 4, 1))).shape
    (1, 3, 3, 3, 2)
    """

    rank = 3
