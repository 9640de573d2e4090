"""Weights in several HDF5 files and a JSON map that says which group is in which file.

The map also has the SHA-256 of each file, which Keras does not look at: files that were not written
together are refused.
"""

import hashlib
import json
import os
import pathlib
import re

from stepfit.core import errors
from stepfit.saving import hdf5, json_config, sources, state
from stepfit.saving.file_errors import shown, wrong
from stepfit.saving.paths import inside
from stepfit.utils.atomic import atomic_write

MOST_FILES = 10_000


def save(model, path, max_shard_size):
    """Write a model's weights to files of at most so many GB beside the map at `path`."""
    path = pathlib.Path(path)
    is_number = isinstance(max_shard_size, (int, float)) and not isinstance(max_shard_size, bool)
    if not is_number or not max_shard_size > 0:
        raise errors.bad_value(
            "save_weights(max_shard_size)", "a positive number of GB", repr(max_shard_size)
        )
    base = path.name.removesuffix(".json").removesuffix(".weights")
    shards = _split(state.collect(model), max_shard_size * 2**30)
    where: dict[str, list] = {}
    digests, total, old = {}, 0, _named_by(path, base)
    try:
        for i, groups in enumerate(shards):
            data = hdf5.write(groups)
            digest = hashlib.sha256(data).hexdigest()
            name = _name(base, i)
            if path.with_name(name).exists():  # it is the older map's, until there is a new one
                name = f"{base}_{i:05}_{digest[:16]}.weights.h5"
            digests[name] = digest
            with atomic_write(path.with_name(name)) as file:
                file.write(data)
            for group, _, arrays in groups:
                if arrays:
                    where.setdefault(f"/{group}", []).append(name)
                total += sum(a.nbytes for a in arrays.values())
        names = {group: found[0] if len(found) == 1 else found for group, found in where.items()}
        config = {"metadata": {"total_size": total, "sha256": digests}, "weight_map": names}
        with atomic_write(path) as file:
            file.write(json.dumps(config, indent=4).encode())
    except BaseException:
        _remove(path, set(digests) - old)
        raise
    first = _name(base, 0)
    _remove(path, old - {first, *digests})
    if first in old - set(digests):  # Keras opens a file of this name, whatever the map says
        with atomic_write(path.with_name(first)) as file:
            file.write(hdf5.write([]))


def _name(base, number):
    return f"{base}_{number:05}.weights.h5"


def _named_by(path, base):
    """Return the names of the files that belong to a map of stepfit's that is there."""
    try:
        found = json.loads(path.read_bytes())["metadata"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    own = re.compile(re.escape(base) + r"_\d{5}(_[0-9a-f]{16})?\.weights\.h5")
    return {name for name in found if own.fullmatch(name)}


def _remove(path, names):
    for name in names:
        path.with_name(name).unlink(missing_ok=True)


def _split(groups, most):
    """Return lists of groups; the arrays of a group may stand in several of them."""
    shards: list[list] = [[]]
    used = 0
    for path, attributes, arrays in groups:
        part: dict = {}
        shards[-1].append((path, attributes, part))
        for name, array in arrays.items():
            if array.nbytes > most:
                raise errors.bad_value(
                    "save_weights(max_shard_size)", f"at least the {array.nbytes / 2**30:.3g} GB "
                    f"of {path}/{name}", f"{most / 2**30:.3g}",
                )  # fmt: skip
            if used + array.nbytes > most:
                part, used = {}, 0
                shards.append([(path, attributes, part)])
            part[name] = array
            used += array.nbytes
    return shards


class ShardedSource:
    """The arrays of all files of a map.

    Args:
        path: path of the map. place: its name, for messages.
        stack: `contextlib.ExitStack` that closes the files.
    """

    def __init__(self, path, place, stack):
        self.place = place
        with sources.open_plain(path, place) as file:
            config = json_config.parse_dict(file.read(json_config.MOST_BYTES + 1), place)
        weight_map = config.get("weight_map")
        if not isinstance(weight_map, dict):
            raise wrong(place, "a 'weight_map'", "none")
        metadata = config.get("metadata")
        digests = metadata.get("sha256", {}) if isinstance(metadata, dict) else {}
        self._sources: dict[str, sources.HDF5Source] = {}
        self._files: dict[str, str] = {}
        self.entries = {}
        for group, names in weight_map.items():
            for name in names if isinstance(names, list) else [names]:
                source = self._open(path, name, digests, stack)
                prefix = group.strip("/") + "/"
                for key, entry in source.entries.items():
                    if key.startswith(prefix):
                        if self._files.setdefault(key, name) != name:
                            raise wrong(f"{place}: {key!r}", "it in one file", "it in two")
                        self.entries[key] = entry

    def _open(self, path, name, digests, stack):
        if not isinstance(name, str) or "/" in name or not name.endswith(".h5"):
            raise wrong(f"{self.place}: weight_map", "names of .h5 files beside it", shown(name))
        if name not in self._sources:
            if len(self._sources) >= MOST_FILES:
                raise wrong(self.place, f"at most {MOST_FILES} files", "more")
            place = f"{self.place}: {name}"
            file = inside(os.path.dirname(os.path.abspath(path)), name, self.place)
            data = stack.enter_context(sources.mapped(file, place))
            digest = digests.get(name) if isinstance(digests, dict) else None
            if digest is not None and hashlib.sha256(data).hexdigest() != digest:
                raise wrong(place, "the file that was written with the map", "another one")
            self._sources[name] = sources.HDF5Source(data, place)
        return self._sources[name]

    def attributes(self, group):
        """Return the attributes of a group."""
        for source in self._sources.values():
            if group in source.file.groups:
                return source.attributes(group)
        return {}

    def read(self, key):
        """Return one array."""
        return self._sources[self._files[key]].read(key)
