"""STFTSpectrogram: sound as its frequencies over time, by a convolution that can be trained."""

import math
import warnings
from typing import Any

import jax.numpy as jnp

from stepfit import initializers, ops
from stepfit.core import config, errors
from stepfit.initializers.fourier import check_scaling, check_window
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """The short-time Fourier transform of each channel; its kernels are weights.

    Args:
        mode: "real", "imag", "stft" (both, side by side), "angle", "magnitude", "log" (of the
            magnitude) or "psd" (power spectral density).
        frame_length: int, length of the frames, in samples.
        frame_step: int, how far apart frames begin; None: half of `frame_length`.
        fft_length: int, length of the transforms; None: the power of two from `frame_length` on.
        window: name of a window that `scipy.signal.get_window` knows, an array, or None.
        periodic: whether a named window is one period of a periodic one, else symmetric.
        scaling: "density", "spectrum" or None; see `initializers.STFT`.
        padding: "valid" or "same".
        expand_dims: whether frequencies get an axis of their own, beside the channels'.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Input: ``(batch, time, channels)``; output: ``(batch, frames, channels * frequencies)``, with
    `expand_dims` ``(batch, frames, frequencies, channels)``; there are ``fft_length // 2 + 1``
    frequencies, twice as many with "stft". With "channels_first": ``(batch, channels, time)``,
    ``(batch, channels * frequencies, frames)``, ``(batch, channels, frames, frequencies)``.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.STFTSpectrogram("log", 256, 128, 512, trainable=False)
    >>> layer(np.zeros((1, 1024, 1), "float32")).shape
    (1, 7, 257)
    """

    def __init__(
        self,
        mode="log",
        frame_length=256,
        frame_step=None,
        fft_length=None,
        window="hann",
        periodic=False,
        scaling="density",
        padding="valid",
        expand_dims=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        where = "STFTSpectrogram"
        if mode not in _MODES:
            raise errors.unknown_name(f"{where}(mode)", "mode", mode, _MODES)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            expected = f"an int in [1, frame_length={frame_length}]"
            raise errors.bad_value(f"{where}(frame_step)", expected, repr(frame_step))
        if fft_length is not None and fft_length < frame_length:
            expected = f"at least frame_length={frame_length}"
            raise errors.bad_value(f"{where}(fft_length)", expected, repr(fft_length))
        if fft_length is not None and fft_length & -fft_length != fft_length:
            warnings.warn(
                errors.message(f"{where}(fft_length)", "a power of two", repr(fft_length)),
                UserWarning, stacklevel=errors.users_level(),
            )  # fmt: skip
        if padding not in ("valid", "same"):
            raise errors.unknown_name(f"{where}(padding)", "padding", padding, ("valid", "same"))
        check_scaling(scaling, f"{where}(scaling)")
        check_window(window, f"{where}(window)")
        self.mode, self.frame_length, self.fft_length = mode, frame_length, fft_length
        self.frame_step = frame_step
        self.window, self.periodic, self.scaling = window, periodic, scaling
        self.padding, self.expand_dims = padding, expand_dims
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)
        self.real_kernel: Any = None
        self.imag_kernel: Any = None

    def build(self, input_shape):
        length = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        shape = (self.frame_length, 1, length // 2 + 1)
        for side in ("real", "imag"):
            if self.mode not in {"real", "imag"} - {side}:
                kernel = initializers.STFT(side, self.window, self.scaling, self.periodic)
                weight = self.add_weight(shape, kernel, name=f"{side}_kernel")
                setattr(self, f"{side}_kernel", weight)

    def call(self, inputs):
        if not jnp.issubdtype(inputs.dtype, jnp.floating):
            raise errors.bad_type(f"{self._where()} input", "floats", errors.describe(inputs))
        if self.mode in ("real", "imag"):
            return self._arranged(self._transform(inputs, getattr(self, f"{self.mode}_kernel")))
        real = self._transform(inputs, self.real_kernel)
        imaginary = self._transform(inputs, self.imag_kernel)
        if self.mode == "angle":
            return self._arranged(jnp.arctan2(imaginary, real))
        if self.mode == "stft":
            return self._arranged(jnp.concatenate([real, imaginary], axis=2))
        power = jnp.square(real) + jnp.square(imaginary)
        if self.mode == "psd":  # frequencies but the first and last stand for negative ones too
            return self._arranged(power.at[:, :, 1:-1].multiply(2))
        epsilon = config.epsilon()
        magnitude = self._arranged(jnp.sqrt(jnp.maximum(power, epsilon)))
        return jnp.log(jnp.maximum(magnitude, epsilon)) if self.mode == "log" else magnitude

    def _transform(self, x, kernel):
        """Return ``(batch, channels, frequencies, frames)``."""
        if self.data_format == "channels_last":
            x = jnp.swapaxes(x, 1, 2)
        batch, channels, time = x.shape
        y = ops.conv(
            x.reshape(batch * channels, time, 1), kernel.value.astype(x.dtype),
            strides=self.frame_step or self.frame_length // 2, padding=self.padding,
            data_format="channels_last",
        )  # fmt: skip
        return jnp.swapaxes(y, 1, 2).reshape(batch, channels, y.shape[2], y.shape[1])

    def _arranged(self, y):
        last = self.data_format == "channels_last"
        if self.expand_dims:
            return jnp.transpose(y, (0, 3, 2, 1) if last else (0, 1, 3, 2))
        y = y.reshape(y.shape[0], -1, y.shape[3])
        return jnp.swapaxes(y, 1, 2) if last else y
