"""`stepfit inspect FILE`: what is in a file of a model or of weights; nothing is built or run."""

import contextlib
import os

from stepfit.core.serialization import family
from stepfit.saving import arrays_files, integrity, json_config, legacy, model_file, shards, sources
from stepfit.saving.file_errors import FileError, size
from stepfit.saving.model_file import CONFIG, METADATA

_OWN = ("keras", "stepfit", "tf_keras")


def inspect(filepath):
    """Return a summary of a file as text: layers, arrays with shapes and dtypes, sizes, warnings.

    Args:
        filepath: `.keras`, unzipped folder, `.h5`, `.weights.json`, `.safetensors` or `.npz`.

    Raises:
        FileError: the file is damaged or not one of these.
    """
    path = os.fspath(filepath)
    place = f"inspect({path!r})"
    with contextlib.ExitStack() as stack:
        if path.endswith(".json"):
            return _summary(path, None, shards.ShardedSource(path, place, stack))
        if path.endswith(".npz"):
            file = stack.enter_context(sources.open_plain(path, place))
            archive = arrays_files.NpzSource(file, place)
            stack.callback(archive.close)
            return _summary(path, None, archive)
        if path.endswith(".safetensors"):
            data = stack.enter_context(sources.mapped(path, place))
            return _summary(path, None, arrays_files.SafetensorsSource(data, place))
        if path.endswith(".h5"):
            data = stack.enter_context(sources.mapped(path, place))
            source = sources.HDF5Source(data, place)
            sealed = "SHA-256 over the file: right" if integrity.has_mark(data) else (
                "no checksum over the file"
            )  # fmt: skip
            model = legacy.ModelFile(data, place) if legacy.is_legacy(source.file) else None
            has_config = model and "model_config" in source.file.attributes("")
            return _summary(path, model if has_config else None, source, [sealed])
        model = stack.enter_context(model_file.opened(path, place))
        notes = []
        if METADATA in model.names():
            data = model.read(METADATA, json_config.MOST_BYTES)
            metadata = json_config.parse_dict(data, f"{place}: {METADATA}")
            notes = [f"{k}: {str(v)[:60]}" for k, v in sorted(metadata.items())]
        others = sorted(set(model.names()) - {METADATA, CONFIG, model_file.WEIGHTS})
        notes += [f"asset {name}" for name in others[:20]]
        return _summary(path, model, model.weights(), notes)


def _summary(path, model, source, notes=()):
    lines, warnings = [path], list[str]()
    lines += [f"  {note}" for note in notes]
    if model is not None:
        config = model.config()
        lines.append("config:")
        lines += _layers(config, warnings, 1)
        if config.get("compile_config"):
            lines.append(f"  compiled: {', '.join(sorted(config['compile_config']))}")
        _look(config, warnings)
    total = sum(entry.size for entry in source.entries.values())
    lines.append(f"arrays: {len(source.entries)}, {size(total)}")
    for key in sorted(source.entries):
        entry = source.entries[key]
        kind = "text" if entry.dtype is None else entry.dtype.name
        lines.append(f"  {key}  {kind}{list(entry.shape)}  {size(entry.size)}")
    lines += _damaged(source)
    lines += [f"warning: {w}" for w in dict.fromkeys(warnings)]
    return "\n".join(lines)


def _layers(config, warnings, depth):
    inner = config.get("config")
    name = inner.get("name", "") if isinstance(inner, dict) else ""
    lines = [f"{'  ' * depth}{str(config.get('class_name'))[:60]} {str(name)[:60]!r}"]
    layers = inner.get("layers", []) if isinstance(inner, dict) else []
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict):
            lines += _layers(layer, warnings, depth + 1)
    return lines


def _look(tree, warnings):
    """Note what a loader would refuse, or would need from the user."""
    if isinstance(tree, list):
        for item in tree:
            _look(item, warnings)
    if not isinstance(tree, dict):
        return
    name, module = tree.get("class_name"), tree.get("module")
    if name == "__lambda__":
        warnings.append("holds code (a lambda): refused but with safe_mode=False")
    elif isinstance(name, str) and "config" in tree and not name.startswith("__"):
        top = str(module).partition(".")[0]
        if "module" in tree and top not in _OWN:
            own = tree.get("registered_name") or name
            warnings.append(f"needs the custom object {str(own)[:80]!r}")
        elif family(module) in ("utils", "config", "saving", "datasets"):
            warnings.append(f"names {str(module)[:60]}.{name[:60]}: refused")
    for value in tree.values():
        _look(value, warnings)


def _damaged(source):
    """Read every array, for the checksums that it carries; nothing is kept."""
    found = []
    for key, entry in source.entries.items():
        if entry.dtype is not None:
            try:
                source.read(key)
            except FileError as e:
                found.append(f"damaged: {e}")
    return found


def main(path):
    """Print the summary of a file; returns the exit status."""
    try:
        print(inspect(path))
    except (FileError, OSError) as e:
        print(f"refused: {e}")
        return 1
    return 0
