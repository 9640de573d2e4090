"""Reading the pickled arrays of the official files without running anything they name.

Two official formats hold pickles: arrays of lists in `imdb.npz` and `reuters.npz`, and the
batches of CIFAR. A pickle may name any function and have it called, so it is read here with a
reader that knows three names - array, dtype, and the function that joins them - and gives each a
stand-in of our own, written in Python. Every other name is refused.
"""

import io
import pickle
import zipfile

import numpy as np

from stepfit.core import errors

_DTYPES = {"O8", "O4", "O", "b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"}


class _DType:
    """Stands in for `numpy.dtype`: a code such as "i4" and a byte order."""

    def __init__(self, code, *_):
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "|"

    def __setstate__(self, state):
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order
        if len(state) > 4 and any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a structured dtype")

    def resolve(self):
        if self.code not in _DTYPES or self.order not in "<>=|":
            raise pickle.UnpicklingError(f"the dtype {self.order}{self.code}")
        return np.dtype("O" if self.code[0] == "O" else self.order + self.code)


class _Array:
    """Stands in for `numpy.ndarray`: shape, dtype, and bytes or a list."""

    def __setstate__(self, state):
        _, shape, dtype, fortran, content = state
        self.shape, self.dtype, self.fortran, self.content = shape, dtype, fortran, content

    def resolve(self):
        dtype = self.dtype.resolve()
        if not dtype.hasobject:
            content = self.content
            raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
            return self._shaped(np.frombuffer(raw, dtype)).copy()
        if len(self.content) != int(np.prod(self.shape)):
            raise pickle.UnpicklingError("an array whose shape and content differ")
        flat = np.empty(len(self.content), dtype=object)
        for i, item in enumerate(self.content):
            flat[i] = resolve(item)
        return self._shaped(flat)

    def _shaped(self, flat):
        return np.reshape(flat, self.shape, order="F" if self.fortran else "C")


def _encode(text, encoding):
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding!r}")
    return text.encode("latin1")


_KNOWN = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _KNOWN[_module, "_reconstruct"] = lambda *_: _Array()


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("a persistent id")


def resolve(value):
    """Replace the stand-ins in a value, at any depth, by real arrays."""
    if isinstance(value, _Array):
        return value.resolve()
    if isinstance(value, dict):
        return {k: resolve(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (_Array, dict, list, tuple)):
            return type(value)(resolve(v) for v in value)
        if any(isinstance(v, (_Array, _DType)) for v in value):
            raise pickle.UnpicklingError("arrays mixed with numbers")
        return value
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise pickle.UnpicklingError(f"an object of type {type(value).__name__}")


def load_pickle(file, where):
    """Read one pickle of numbers, strings, lists, dicts and arrays.

    Args:
        file: binary file.
        where: its name, for messages.

    Raises:
        ValueError: where it holds anything else.
    """
    try:
        return resolve(_Reader(file, encoding="bytes").load())
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError,
            IndexError) as error:  # fmt: skip
        fix = "delete the file, so that it is downloaded again"
        expected = "a pickle of plain numbers and arrays"
        raise errors.bad_value(str(where), expected, str(error) or "its end", fix) from error


def load_npz(path):
    """Return the arrays of an `.npz` file as a dict, object arrays included."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            file = io.BytesIO(archive.read(name))
            arrays[name.removesuffix(".npy")] = _load_npy(file, f"{path}, member {name}")
    return arrays


def _load_npy(file, where):
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if dtype.hasobject:
        return load_pickle(file, where)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
