"""Weights alone, in files of several kinds; what the ending of the path says."""

import contextlib
import os

import numpy as np

from stepfit.core import errors
from stepfit.saving import arrays_files, legacy, model_file, shards, sources, state
from stepfit.saving.file_errors import wrong
from stepfit.saving.state_tree import places
from stepfit.utils import weights_file as npz
from stepfit.utils.atomic import atomic_write
from stepfit.utils.weights_file import ENDINGS, check_path


def save_weights(model, filepath, overwrite=True, max_shard_size=None, **kwargs):
    """Write the weights of a model to a file, which appears when it is complete.

    A `.weights.h5` file also has the state of the model's optimizer, as Keras writes it.

    Args:
        model: a built model.
        filepath: path that ends in ".weights.h5" (Keras's form), ".weights.json" (the same in
            several files), ".safetensors" or ".npz".
        overwrite: whether a file that is there is replaced; False: it is an error.
        max_shard_size: for ".weights.json", the size of each file in GB.

    Raises:
        ValueError: another ending; a model without variables yet.
    """
    path = os.fspath(filepath)
    where = f"save_weights(filepath={path!r})"
    for name in kwargs:
        raise errors.unknown_argument(
            "save_weights(...)", name, ("filepath", "overwrite", "max_shard_size")
        )
    if max_shard_size is not None and path.endswith(".weights.h5"):
        path = path.removesuffix(".h5") + ".json"
    check_path(path, where)
    model_file.check_built(model, where)
    model_file.check_free(path, overwrite, where)
    if path.endswith(".json"):
        shards.save(model, path, 5 if max_shard_size is None else max_shard_size)
        return
    if max_shard_size is not None:
        raise errors.bad_value(
            where, "a path that ends in '.weights.json', with max_shard_size", repr(path)
        )
    if path.endswith(".h5"):
        data = model_file.sealed_weights(model)
        with atomic_write(path) as file:
            file.write(data)
        return
    if path.endswith(".npz"):
        npz.save_weights(model, path)
        return
    arrays = {key: np.asarray(v.numpy()) for key, (v, _) in _by_name(model).items()}
    with atomic_write(path) as file:
        arrays_files.write_safetensors(file, arrays, {"format": "stepfit"})


def load_weights(model, filepath, skip_mismatch=False, objects_to_skip=None, **kwargs):
    """Set the weights of a model from a file.

    Args:
        model: a built model.
        filepath: a file that `save_weights` or Keras wrote, a `.keras` file, an unzipped folder,
            or weights of Keras 2 (".h5").
        skip_mismatch: whether layers whose arrays do not fit, or are missing, are left alone.
        objects_to_skip: list of layers that are left alone.
        by_name: whether layers are found by their names, wherever they stand, and others left
            alone (in files of Keras 2, and HDF5 and `.keras` files of Keras 3).
        prefix: text, or a list of them: only variables below such a path ("encoder",
            "encoder/dense/kernel") are loaded, and what the file has besides is not looked at.

    Returns:
        `LoadReport`: what was loaded, and what was not.

    Raises:
        ValueError: the file is damaged or does not fit, or by name no layer is in it; nothing is
            changed then. FileNotFoundError: there is no such file.
    """
    by_name, prefix = kwargs.pop("by_name", False), kwargs.pop("prefix", None)
    known = ("filepath", "skip_mismatch", "objects_to_skip", "by_name", "prefix")
    for name in kwargs:
        raise errors.unknown_argument("load_weights(...)", name, known)
    path = os.fspath(filepath)
    place = f"load_weights({path!r})"
    if model._has_call() or not model.weights:
        model_file.check_built(model, place)
    with contextlib.ExitStack() as stack:
        source = open_source(model, path, place, stack, by_name)
        report = state.load(
            model, source, skip_mismatch, objects_to_skip or (), strict_optimizers=False,
            partial=by_name, prefix=prefix,
        )  # fmt: skip
    if not (report.missing or report.mismatched):
        model._count_as_built()
    return report


def open_source(model, path, place, stack, by_name=False):
    """Return the source of values that a path leads to; `stack` closes it."""
    if os.path.isdir(path) or path.endswith(".keras"):
        source = stack.enter_context(model_file.opened(path, place)).weights()
        return _of_names(model, source) if by_name else source
    if path.endswith(".json"):
        return shards.ShardedSource(path, place, stack)
    if path.endswith(".npz"):
        file = stack.enter_context(sources.open_plain(path, place))
        archive = arrays_files.NpzSource(file, place)
        stack.callback(archive.close)
        return _renamed(model, archive, _by_path(model), in_order=True)
    data = stack.enter_context(sources.mapped(path, place))
    if path.endswith(".safetensors"):
        return _renamed(model, arrays_files.SafetensorsSource(data, place), _by_name(model))
    if path.endswith((".h5", ".hdf5")):
        source = sources.HDF5Source(data, place)
        if legacy.is_legacy(source.file):
            return legacy.weights(model, source, by_name)
        return _of_names(model, source) if by_name else source
    raise wrong(place, f"a path that ends in {', '.join(ENDINGS)} or .keras", "another ending")


def _of_names(model, source):
    """Return a source that has the arrays of layers of the same names, and of no others."""
    named: dict[str, str] = {}  # from the name's path to the group
    for key in source.file.groups:
        if key.endswith("/vars"):
            named.setdefault(_names(key.removesuffix("/vars"), source.file), key)
    found = {}
    own = {p.path: p.name for p in places(model)}
    for place in places(model):
        group = named.get(_named(place.path, own)) if place.path else None
        for key in source.entries if group else ():
            if key.startswith(f"{group}/"):
                found[f"{place.path}/vars/{key.removeprefix(f'{group}/')}"] = key
    if all(key.startswith("optimizer/") for key in found):
        filled = {key.rpartition("/")[0] for key in source.entries}
        names = [n.rpartition("\0")[2] for n, group in named.items()
                 if group in filled and not group.startswith("optimizer/")]  # fmt: skip
        legacy.check_names(model, names, source.place)
    return sources.Renamed(source, found)


def _names(path, file):
    """Return a path made of the names that a file has for the objects on the way."""
    own = {}
    for start in _starts(path):
        group = f"{start}/vars"
        name = file.attributes(group).get("name") if group in file.groups else ""
        own[start] = name if isinstance(name, str) else ""
    return _named(path, own)


def _named(path, own):
    return "\0".join(own[start] for start in _starts(path) if own.get(start))


def _starts(path):
    parts = path.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _variables(model):
    """Yield ``(place, variable, key)`` of the weights, not of optimizers."""
    for place in places(model):
        is_layer = hasattr(place.object, "_saved_variables")
        if not is_layer or hasattr(place.object, "apply_gradients"):
            continue
        for i, variable in enumerate(place.object._saved_variables()):
            group = f"{place.path}/vars" if place.path else "vars"
            yield place, variable, f"{group}/{i}"


def _by_path(model):
    """Return ``{variable's path: (variable, key)}`` in the order of the model's weights."""
    found = {}
    keys = {id(v): key for _, v, key in _variables(model)}
    for variable in model.weights:
        if variable.path in found:
            fix = "give the layers different names"
            raise errors.bad_value(variable.path, "one variable of this path", "two", fix)
        found[variable.path] = (variable, keys.get(id(variable)))
    return found


def _by_name(model):
    """Return ``{name: (variable, key)}``; names are those of attributes and variables."""
    found: dict[str, tuple] = {}
    for place, variable, key in _variables(model):
        name = base = f"{place.path}/{variable.name}" if place.path else variable.name
        count = 0
        while name in found:
            count += 1
            name = f"{base}_{count}"
        found[name] = (variable, key)
    return found


def _renamed(model, source, table, in_order=False):
    keys = {name: key for name, (_, key) in table.items()}
    if in_order and set(keys) != set(source.entries) and len(keys) == len(source.entries):
        return sources.Renamed(source, dict(zip(keys.values(), source.entries, strict=True)))
    return sources.Renamed(source, {keys.get(name, name): name for name in source.entries})
