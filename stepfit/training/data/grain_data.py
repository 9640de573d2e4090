"""Batches from grain: MapDataset by number; IterDataset, DataLoader and iterators with their state.

grain is never imported here: whoever passes one of its objects has done so.
"""

import base64
import json
import sys

import numpy as np

from stepfit.core import errors
from stepfit.training.data.generators import IterableSource
from stepfit.training.data.numbered import NumberedSource


def is_map_dataset(x):
    """Say whether `x` is a `grain.MapDataset`."""
    grain = sys.modules.get("grain")
    return grain is not None and isinstance(x, grain.MapDataset)


def keeps_its_state(x):
    """Say whether `x` is a grain IterDataset or DataLoader, or an iterator with `get_state`."""
    if hasattr(x, "__next__") and hasattr(x, "get_state") and hasattr(x, "set_state"):
        return True
    grain = sys.modules.get("grain")
    return grain is not None and isinstance(x, (grain.IterDataset, grain.DataLoader))


class MapDatasetSource(NumberedSource):
    """Batches of a `grain.MapDataset`; pass k is its k-th epoch, shuffled anew by itself."""

    description = "a grain MapDataset"

    def __init__(self, data, *, shuffle=False, **kwargs):
        super().__init__(data, shuffle=False, **kwargs)

    def _length(self):
        length = len(self._data)
        return None if length >= sys.maxsize // 8 else length  # .repeat() has no other sign

    def _get(self, number):
        batch = self._data[number]
        if batch is None:
            fix = "after .filter(...) call .to_iter_dataset()"
            place = f"batch {number} of {self.name}"
            raise errors.bad_value(place, "a batch", "none, as it was filtered out", fix)
        return batch

    def _number(self, number, index, length):
        return number * length + index


class StatefulSource(IterableSource):
    """Batches of an object whose iterators can be put into the state of another."""

    def __init__(self, data, **kwargs):
        if hasattr(data, "__next__"):
            kwargs["description"] = "an iterator"
        elif sys.modules["grain"].DataLoader in type(data).__mro__:
            kwargs["description"] = "a grain DataLoader"
        else:
            kwargs["description"] = "a grain IterDataset"
        super().__init__(data, **kwargs)

    def _explain(self, error):
        if type(error).__name__ != "UnparsedFlagAccessError":
            return None
        fix = "call `from absl import flags; flags.FLAGS.mark_as_parsed()` first"
        expected, found = "that command line flags were parsed, as grain's workers want it", "none"
        return errors.StepfitRuntimeError(errors.message(self.name, expected, found, fix))

    def _iterator_state(self, iterator):
        return _to_json(iterator.get_state())

    def _set_iterator_state(self, iterator, state):
        try:
            iterator.set_state(_from_json(state))
        except ValueError:  # DataLoader compares the `repr` of sources, which may hold an address
            return False
        return True

    def _close_pass(self, iterator):
        if hasattr(iterator, "close"):
            iterator.close()


def _to_json(state):
    """Return a state as JSON can hold it, or None where it cannot."""
    try:
        made = json.loads(json.dumps(state, default=_plain))
    except (TypeError, ValueError):
        return None
    return made


def _plain(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        raw = base64.b64encode(value.tobytes()).decode()
        return {"array": raw, "dtype": value.dtype.str, "shape": list(value.shape)}
    raise TypeError(type(value).__name__)


def _from_json(value):
    if isinstance(value, list):
        return [_from_json(v) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    if set(value) == {"array", "dtype", "shape"}:
        raw = base64.b64decode(value["array"])
        return np.frombuffer(raw, value["dtype"]).reshape(value["shape"]).copy()
    return {k: _from_json(v) for k, v in value.items()}
