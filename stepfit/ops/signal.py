"""Signals cut into frames, and their spectra. Complex numbers are pairs (real, imaginary)."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.ops.table import tensor, tensors

_WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46)}


def _frames(x, length, stride, where):
    if x.shape[-1] < length:
        raise errors.bad_value(
            f"{where}(x)", f"a signal of at least {length} values", f"{x.shape[-1]} values"
        )
    starts = np.arange(0, x.shape[-1] - length + 1, stride)
    return x[..., starts[:, None] + np.arange(length)]


def _window(window, length, fft_length, dtype, where):
    """Return a window with zeros on both sides up to the length of the transform."""
    if fft_length < length:
        raise errors.bad_value(
            f"{where}(fft_length)", f"an int of at least sequence_length = {length}",
            repr(fft_length),
        )  # fmt: skip
    before = (fft_length - length) // 2
    if window is None:
        return jnp.ones((fft_length,), dtype)
    if isinstance(window, str):
        if window not in _WINDOWS:
            raise errors.unknown_name(f"{where}(window)", "window", window, _WINDOWS)
        mean, swing = _WINDOWS[window]
        angle = 2 * np.pi * np.arange(length) / length
        window = mean - swing * np.cos(angle) if length > 1 else np.ones(1)
    window = jnp.asarray(tensor(window), dtype)
    if window.shape != (length,):
        found = errors.describe(window)
        raise errors.bad_value(f"{where}(window)", f"shape ({length},)", found)
    return jnp.pad(window, (before, fft_length - length - before))


@op
def extract_sequences(x, sequence_length, sequence_stride):
    """Frames of a signal: ``(..., n) -> (..., frames, sequence_length)``.

    Args:
        x: signals along the last axis.
        sequence_length: int, values per frame.
        sequence_stride: int, how far apart frames begin.

    Raises:
        ValueError: the signal is shorter than a frame.

    >>> import stepfit as keras
    >>> keras.ops.extract_sequences([1.0, 2.0, 3.0, 4.0, 5.0], 3, 2).tolist()
    [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]
    """
    return _frames(jnp.asarray(tensor(x)), sequence_length, sequence_stride, "extract_sequences")


@op
def stft(x, sequence_length, sequence_stride, fft_length, window="hann", center=True):
    """Short-time Fourier transform: the spectra of windowed frames.

    Args:
        x: signals along the last axis, floats.
        sequence_length: int, length of the window.
        sequence_stride: int, how far apart frames begin.
        fft_length: int, length of the transform.
        window: "hann", "hamming", an array of shape ``(sequence_length,)``, or None for ones.
        center: whether frames are centred on their places, by reflecting the signal's ends.

    Returns:
        (real, imaginary), each ``(..., frames, fft_length // 2 + 1)``.

    Raises:
        ValueError: a length or window that does not fit. TypeError: not floats.

    >>> import numpy as np, stepfit as keras
    >>> real, imaginary = keras.ops.stft(np.ones(8, "float32"), 4, 2, 4, window=None)
    >>> real.shape, real[0].tolist()
    ((5, 3), [4.0, 0.0, 0.0])
    """
    x = jnp.asarray(tensor(x))
    if x.dtype not in (jnp.float32, jnp.float64):
        raise errors.bad_type("stft(x)", "float32 or float64", errors.describe(x))
    window = _window(window, sequence_length, fft_length, x.dtype, "stft")
    if center:
        sides = [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)]
        x = jnp.pad(x, sides, mode="reflect")
    spectra = jnp.fft.rfft(_frames(x, fft_length, sequence_stride, "stft") * window)
    return jnp.real(spectra), jnp.imag(spectra)


@op
def istft(x, sequence_length, sequence_stride, fft_length, length=None, window="hann", center=True):
    """Inverse of `stft`: overlapping frames added up, over the sum of the squared windows.

    Args:
        x: (real, imaginary), each ``(..., frames, fft_length // 2 + 1)``.
        sequence_length, sequence_stride, fft_length, window, center: as for `stft`. With `window`
            None the result is ``fft_length / sequence_stride`` times the signal, as in Keras.
        length: int, how many values to return; None: as many as the frames give.

    Returns:
        Signals ``(..., n)``.

    Raises:
        ValueError: not a pair; a length or window that does not fit.

    >>> import numpy as np, stepfit as keras
    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "float32")
    >>> again = keras.ops.istft(keras.ops.stft(x, 4, 2, 4), 4, 2, 4)
    >>> bool(np.allclose(again, x))
    True
    """
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise errors.bad_value("istft(x)", "a pair (real, imaginary)", errors.describe(x))
    spectra = jax.lax.complex(*tensors(x))
    if spectra.ndim < 2:
        raise errors.bad_value("istft(x)", "arrays (..., frames, bins)", errors.describe(x[0]))
    scale = 1.0 if window is not None else fft_length / sequence_stride
    real = jnp.real(spectra).dtype
    window = _window(window, sequence_length, fft_length, real, "istft")
    frames = jnp.fft.irfft(spectra, n=fft_length) * window
    count = frames.shape[-2]
    total = fft_length + sequence_stride * (count - 1)
    places = np.arange(count)[:, None] * sequence_stride + np.arange(fft_length)
    signal = jnp.zeros((*frames.shape[:-2], total), real).at[..., places].add(frames)
    weight = jnp.zeros((total,), real).at[places].add(jnp.square(window))
    signal = signal * (scale / jnp.where(weight > 1e-10, weight, 1.0))
    start = fft_length // 2 if center else 0
    end = total - start if length is None else start + length
    return signal[..., start:end]
