"""MelSpectrogram: sound as its power at pitches, over time."""

import jax.numpy as jnp
import numpy as np

from stepfit import ops
from stepfit.core import errors
from stepfit.layers.preprocessing.base import DataLayer


class MelSpectrogram(DataLayer):
    """The power of a signal in bands whose pitches lie equally far apart for the ear, over time.

    A pitch in mel is ``1127 * ln(1 + f / 700)`` of a frequency `f` in Hz.

    Args:
        fft_length: int, length of the Fourier transforms, in samples.
        sequence_stride: int, how far apart frames begin, in samples.
        sequence_length: int, length of the window; None: `fft_length`.
        window: "hann", "hamming", an array of `sequence_length` floats, or None for ones.
        sampling_rate: samples per second.
        num_mel_bins: int, how many bands there are.
        min_freq, max_freq: the lowest and the highest frequency, in Hz; None: half the
            `sampling_rate`.
        power_to_db: whether powers are given in decibels.
        top_db: how far below the loudest value of the batch all others are cut, in decibels.
        mag_exp: exponent of the magnitude; 1 for energies, 2 for powers.
        min_power: powers below count as this one, in decibels.
        ref_power: the power that is 0 dB.

    Input: signals ``(batch, time)`` or ``(time,)``; output: ``(batch, num_mel_bins, frames)``.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.MelSpectrogram(num_mel_bins=64, sampling_rate=8000, fft_length=256)
    >>> layer(np.zeros((1, 4000), "float32")).shape
    (1, 64, 8)
    """

    def __init__(
        self,
        fft_length=2048,
        sequence_stride=512,
        sequence_length=None,
        window="hann",
        sampling_rate=16000,
        num_mel_bins=128,
        min_freq=20.0,
        max_freq=None,
        power_to_db=True,
        top_db=80.0,
        mag_exp=2.0,
        min_power=1e-10,
        ref_power=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.fft_length, self.sequence_stride = fft_length, sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.sequence_length > fft_length:
            raise errors.bad_value(
                "MelSpectrogram(sequence_length)", f"at most fft_length={fft_length}",
                repr(sequence_length),
            )  # fmt: skip
        self.window, self.sampling_rate = window, sampling_rate
        self.num_mel_bins, self.min_freq = num_mel_bins, min_freq
        self.max_freq = max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def call(self, inputs):
        exact = self.compute_dtype if self.compute_dtype in ("float32", "float64") else "float32"
        real, imaginary = ops.stft(
            jnp.asarray(inputs, exact), self.sequence_length, self.sequence_stride,
            self.fft_length, window=self.window, center=True,
        )  # fmt: skip
        power = jnp.sqrt(jnp.square(real) + jnp.square(imaginary)) ** self.mag_exp
        bands = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, power.shape[-1], self.sampling_rate, self.min_freq, self.max_freq
        )
        mel = power @ jnp.asarray(bands, exact)
        if self.power_to_db:
            mel = self._decibels(mel)
        return jnp.swapaxes(mel, -1, -2).astype(self.compute_dtype)

    def _decibels(self, power):
        level = 10 * jnp.log10(jnp.maximum(power, self.min_power))
        level -= 10 * np.log10(max(abs(self.ref_power), self.min_power))
        return jnp.maximum(level, jnp.max(level) - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins=20,
        num_spectrogram_bins=129,
        sampling_rate=8000,
        lower_edge_hertz=125.0,
        upper_edge_hertz=3800.0,
        dtype="float32",
    ):
        """Return the matrix that sums the bins of a spectrum into triangular bands.

        Args:
            num_mel_bins, num_spectrogram_bins: the sizes of the result.
            sampling_rate: samples per second.
            lower_edge_hertz, upper_edge_hertz: where the first band begins and the last one ends.
            dtype: of the result.

        Returns:
            NumPy array ``(num_spectrogram_bins, num_mel_bins)``.
        """
        mel = lambda f: 1127.0 * np.log1p(f / 700.0)
        pitch = mel(np.linspace(0, sampling_rate / 2, num_spectrogram_bins))[:, None]
        edges = np.linspace(mel(lower_edge_hertz), mel(upper_edge_hertz), num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (pitch - low) / (middle - low), (high - pitch) / (high - middle)
        weights = np.maximum(0, np.minimum(rising, falling))
        weights[0] = 0  # what does not move is not heard
        return weights.astype(dtype)
