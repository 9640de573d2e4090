"""STFT: the kernel with which a convolution is a short-time Fourier transform."""

import numpy as np

from stepfit.core import arrays, errors
from stepfit.initializers.base import Initializer, numpy_dtype, shape_tuple


class STFT(Initializer):
    """Cosines, or negative sines, of rising frequency, under a window.

    ``kernel[t, 0, f] = window[t] * cos(2 pi t f / n) / scale``, with `n` twice the number of the
    frequencies less 2.

    Args:
        side: "real" (cosines) or "imag" (negative sines).
        window: name of a window that `scipy.signal.get_window` knows ("hann", "hamming", ...); an
            array, one float per step; or None.
        scaling: "density" (the scale is the root of the sum of the window's squares), "spectrum"
            (the window's sum), or None.
        periodic: whether a named window is one period of a periodic one, else symmetric.

    Raises:
        ValueError: an unknown side, window or scaling; on calling, a window of another length.

    Example:

    >>> import stepfit as keras
    >>> keras.initializers.STFT("real", window=None)((4, 1, 2))[:, 0].round(2).tolist()
    [[1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(self, side="real", window="hann", scaling="density", periodic=False):
        if side not in ("real", "imag"):
            raise errors.unknown_name("STFT(side)", "side", side, ("real", "imag"))
        check_scaling(scaling, "STFT(scaling)")
        check_window(window, "STFT(window)")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape, dtype=None):
        if len(shape_tuple(shape)) != 3:
            expected = "three axes (steps, 1, frequencies)"
            raise errors.bad_value("STFT(shape)", expected, f"shape {shape}")
        length, _, frequencies = shape
        # Numbers up to `length * frequencies` lose digits in 32 bits: take them round the circle.
        steps = np.outer(np.arange(length), np.arange(frequencies)) % (2 * (frequencies - 1) or 1)
        angle = 2 * np.pi * steps / (2 * (frequencies - 1) or 1)
        kernel = np.cos(angle) if self.side == "real" else -np.sin(angle)
        if self.window is not None:
            window = _values(self.window, length, self.periodic)
            scale = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window))}
            kernel = kernel * window[:, None] / scale.get(self.scaling, 1.0)
        return arrays.handed_over(kernel[:, None, :], numpy_dtype(dtype))


def check_scaling(scaling, where):
    """Raise for a scaling that is not known."""
    known = ("density", "spectrum")
    if scaling is not None and scaling not in known:
        raise errors.unknown_name(where, "scaling", scaling, known)


def check_window(window, where):
    """Raise for the name of a window that SciPy does not know, or that needs parameters."""
    if isinstance(window, str):
        from scipy import signal  # slow to import, and needed here only

        try:
            signal.get_window(window, 1)
        except ValueError:
            fix = 'for example "hann"; a window with parameters is given as an array'
            expected = "a window of scipy.signal.get_window, by name"
            raise errors.bad_value(where, expected, repr(window), fix) from None


def _values(window, length, periodic):
    if isinstance(window, str):
        from scipy import signal

        return signal.get_window(window, length, periodic)
    window = np.asarray(window, np.float64)
    if window.shape != (length,):
        raise errors.bad_value("STFT(window)", f"shape ({length},)", f"shape {window.shape}")
    return window
