"""HDF5 files of Keras 2: read only. Weights are listed by layer, in the order of the layers.

The root (or its group `model_weights`) has an attribute `layer_names`; each layer's group has
`weight_names`, and the arrays under these names. A whole model has its config in the attribute
`model_config`, and how it was compiled in `training_config`.
"""

from stepfit.core import deferral, errors
from stepfit.saving import building, json_config, sources, state
from stepfit.saving.file_errors import shown, wrong
from stepfit.saving.paths import check_member
from stepfit.saving.state_tree import places


def is_legacy(file):
    """Say whether an HDF5 file is one of Keras 2's."""
    return "model_weights" in file.groups or _has_layers(file, "")


def _has_layers(file, root):
    return any(k.startswith("layer_names") for k in file.attributes(root))


class ModelFile:
    """A whole model of Keras 2; see `model_file.ModelFiles`.

    Args:
        data: the file's bytes. place: its name, for messages.
    """

    def __init__(self, data, place):
        self.place = place
        self.source = sources.HDF5Source(data, place)

    def _json(self, name):
        text = self.source.file.attributes("").get(name)
        if not isinstance(text, str):
            return None
        return json_config.parse_dict(text.encode(), f"{self.place}: {name}")

    def config(self):
        """Return the config, as a dict."""
        config = self._json("model_config")
        if config is None:
            raise wrong(
                self.place, "a model, with an attribute 'model_config'", "none: only weights",
                "build the model, and call its load_weights",
            )  # fmt: skip
        return _upgraded(config)

    def weights(self):
        """Return the source of values, by layer."""
        return self.source

    def load(self, compile):
        """Return the model."""
        config, training = self.config(), self._json("training_config")
        with deferral.deferring():
            model = building.build(config, f"{self.place}: model_config")
            if compile and training:
                optimizer = training.pop("optimizer_config", None)
                known = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly")
                settings = {k: v for k, v in training.items() if k in known}
                if optimizer is not None:
                    settings["optimizer"] = optimizer
                building.compile_model(
                    model, _upgraded(settings), f"{self.place}: training_config"
                )
            state.load(model, weights(model, self.source))
        if compile and training:
            _load_optimizer(model, self.source)
        return model


def _upgraded(tree):
    """Return a config with today's names for what Keras 2 called otherwise."""
    if isinstance(tree, list):
        return [_upgraded(v) for v in tree]
    if not isinstance(tree, dict):
        return tree
    tree = {k: _upgraded(v) for k, v in tree.items()}
    config = tree.get("config")
    if isinstance(config, dict) and isinstance(tree.get("class_name"), str):
        shape = config.pop("batch_input_shape", None)
        if shape is not None and tree["class_name"] == "InputLayer":
            config.setdefault("batch_shape", shape)
        elif shape is not None:
            config["input_shape"] = shape[1:]
        for old, new in (("lr", "learning_rate"),):
            if old in config:
                config[new] = config.pop(old)
        for gone in ("time_major", "decay", "jit_compile", "is_legacy_optimizer"):
            config.pop(gone, None)
    return tree


def weights(model, source, by_name=False):
    """Return a source that has Keras 2's arrays under Keras 3's keys.

    Args:
        model: the model that they are for.
        source: an `HDF5Source`.
        by_name: whether layers are found by their names, and those without one left alone.

    Raises:
        FileError: another number of layers or of arrays in one.
    """
    file, place = source.file, source.place
    root = "model_weights" if "model_weights" in file.groups else ""
    groups = {}
    for name in _texts(file, root, "layer_names", place):
        check_member(name, place)
        group = f"{root}/{name}" if root else name
        if group not in file.groups:
            raise wrong(f"{place}: layer {shown(name)}", "a group for it", "none")
        arrays = [f"{group}/{w}" for w in _texts(file, group, "weight_names", place)]
        missing = [a for a in arrays if a not in file.datasets]
        if missing:
            raise wrong(f"{place}: {shown(missing[0])}", "an array", "none")
        if arrays:
            groups[name] = arrays
    layers = [(layer, _weights_of(layer)) for layer in model.layers]
    layers = [(layer, found) for layer, found in layers if found]
    if by_name:
        layers = [(layer, found) for layer, found in layers if layer.name in groups]
        if not layers:
            check_names(model, groups, place)
        pairs = [(layer, found, groups[layer.name]) for layer, found in layers]
    else:
        if len(layers) != len(groups):
            raise wrong(
                place, f"{len(layers)} layers with weights, as the model has", f"{len(groups)}",
                "build the model that was saved",
            )  # fmt: skip
        pairs = [(*a, b) for a, b in zip(layers, groups.values(), strict=True)]
    keys = _keys(model)
    names: dict[str, str] = {}
    for layer, variables, arrays in pairs:
        if len(variables) != len(arrays):
            raise wrong(
                f"{place}: layer {layer.name!r}", f"{len(variables)} arrays", f"{len(arrays)}"
            )
        names.update((k, a) for v, a in zip(variables, arrays, strict=True) for k in keys[id(v)])
    return sources.Renamed(source, names)


def check_names(model, names, place):
    """Raise because no layer of a model has a name that a file has; not where there is none."""
    own = [layer.name for layer in model._flatten_layers(include_self=False) if layer.weights]
    if own:
        near = next(((n, found) for n in own if (found := errors.nearest(n, names))), None)
        raise wrong(
            f"{place}, by_name=True", f"a layer of a name that the file has ({_some(names)})",
            f"none among {_some(own)}",
            f"rename {near[0]!r} to {near[1]!r}, and others alike, or pass by_name=False"
            if near else "give the layers the names of the file's, or pass by_name=False",
        )  # fmt: skip


def _some(names):
    names = list(dict.fromkeys(names))
    return ", ".join(map(shown, names[:4])) + (", ..." if names[4:] else "") or "none"


def _weights_of(layer):
    found = layer.weights
    return [v for v in found if v.made_trainable] + [v for v in found if not v.made_trainable]


def _keys(model):
    """Return ``{id(variable): keys}`` of a model's weights; a wrapper's may have several."""
    found: dict[int, list[str]] = {}
    for place in places(model):
        if hasattr(place.object, "_saved_variables"):
            group = f"{place.path}/vars" if place.path else "vars"
            for i, variable in enumerate(place.object._saved_variables()):
                found.setdefault(id(variable), []).append(f"{group}/{i}")
    return found


def _texts(file, group, name, place):
    """Return a list of texts in an attribute, or in numbered ones where it was too long for one."""
    found = file.attributes(group)
    parts = [found[name]] if name in found else []
    while f"{name}{len(parts)}" in found:
        parts.append(found[f"{name}{len(parts)}"])
    if not parts:
        raise wrong(f"{place}: {group or '/'}", f"an attribute {name!r}", "none")
    texts = []
    for part in parts:
        is_empty = not isinstance(part, (list, str)) and getattr(part, "size", 1) == 0
        texts += [] if is_empty else [part] if isinstance(part, str) else list(part)
    if not all(isinstance(t, str) for t in texts):
        raise wrong(f"{place}: {group or '/'} {name}", "texts", "numbers")
    return texts


def _load_optimizer(model, source):
    """Give the optimizer its state, where it has a variable for each array."""
    if "optimizer_weights" not in source.file.groups or model.optimizer is None:
        return
    names = _texts(source.file, "optimizer_weights", "weight_names", source.place)
    model.optimizer.build(model.trainable_variables)
    variables = model.optimizer.variables
    arrays = {f"optimizer_weights/{name}": f"optimizer/vars/{i}" for i, name in enumerate(names)}
    shapes = [source.entries[a].shape for a in arrays if a in source.entries]
    if shapes == [v.shape for v in variables]:
        renamed = sources.Renamed(source, {key: a for a, key in arrays.items()})
        state.load_optimizer(model, renamed)
