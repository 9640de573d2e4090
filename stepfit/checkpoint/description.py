"""Whether a model and its data are those that a backup was made of."""

import re

import jax

from stepfit.checkpoint.contents import EXTRAS, variables_of
from stepfit.core import errors

_FIX = "go on with what the backup was made of, or start anew with another folder"
_PARTS = {
    "trainable_variables": "trainable weight", "non_trainable_variables": "non-trainable weight",
    "optimizer_variables": "optimizer variable", "metrics_variables": "metric variable",
    EXTRAS: "variable that only the step uses",
}  # fmt: skip
_DATA = {
    "kind": "data of the kind", "samples": "a number of samples of",
    "batch_size": "a batch size of", "steps": "a number of steps per epoch of",
    "batch": "batches of the form",
}  # fmt: skip


def described(model, progress):
    """Return what must be the same when training goes on, as JSON can hold it."""
    source = progress.source
    batch = [
        f"{leaf.dtype}[{', '.join(map(str, leaf.shape[1:]))}]"
        for leaf in jax.tree.leaves(source.form())
    ]
    return {
        "model": {
            "layers": [type(layer).__name__ for layer in model._flatten_layers()][1:],
            "optimizers": [type(o).__name__ for o in model._optimizers()],
        },
        "training_data": {
            "kind": source.description, "samples": source.num_samples,
            "batch_size": source.batch_size, "steps": source.num_batches, "batch": batch,
        },
    }  # fmt: skip


def check_same(where, backup, model, described_now, initial_epoch):
    """Raise unless a backup is of this model, this data and this `fit`.

    Args:
        where: what messages name.
        backup: the `Backup`.
        model: the model, built.
        described_now: what `described` says now.
        initial_epoch: that of the `fit`.
    """
    then = backup.document
    _check_layers(where, backup.name, then["model"], described_now["model"])
    for part, variables in variables_of(model).items():
        _check_part(where, backup, part, variables)
    for key, what in _DATA.items():
        old, new = then["training_data"][key], described_now["training_data"][key]
        if old != new and None not in (old, new):
            expected = f"{what} {_shown(old)}, as in {backup.name}"
            raise errors.bad_value(where, expected, _shown(new), _FIX)
    if then["place"]["initial_epoch"] != initial_epoch:
        expected = f"the backup of a fit with initial_epoch={initial_epoch}"
        found = f"{backup.name} of one with initial_epoch={then['place']['initial_epoch']}"
        raise errors.bad_value(where, expected, found, "give each call of fit a folder of its own")


def _check_layers(where, name, then, now):
    for index, (old, new) in enumerate(zip(then["layers"], now["layers"], strict=False)):
        if old != new:
            expected = f"layer {index} to be of class {old}, as in {name}"
            raise errors.bad_value(where, expected, new, _FIX)
    if len(then["layers"]) != len(now["layers"]):
        expected = f"{len(then['layers'])} layers, as in {name}"
        raise errors.bad_value(where, expected, str(len(now["layers"])), _FIX)
    if then["optimizers"] != now["optimizers"]:
        expected = f"the optimizers {_shown(then['optimizers'])}, as in {name}"
        raise errors.bad_value(where, expected, _shown(now["optimizers"]), _FIX)


def _check_part(where, backup, part, variables):
    what, saved = _PARTS.get(part, part), backup.part(part)
    for index, (variable, (path, array)) in enumerate(zip(variables, saved, strict=False)):
        old, new = _plain(path), _plain(variable.path)
        if old != new:
            expected = f"{what} {index} to be {path!r}, as in {backup.name}"
            raise errors.bad_value(where, expected, repr(variable.path), _FIX)
        if array.shape != variable.shape or array.dtype.name != variable.dtype:
            expected = f"{what} {path!r} of {array.dtype.name}{list(array.shape)}, as in "
            found = f"{variable.dtype}{list(variable.shape)}"
            raise errors.bad_value(where, expected + backup.name, found, _FIX)
    if len(saved) != len(variables):
        paths = [v.path for v in variables], [path for path, _ in saved]
        longer = max(paths, key=len)
        expected = f"{len(saved)} {what}s, as in {backup.name}"
        found = f"{len(variables)}; {longer[min(map(len, paths))]!r} is in one of them only"
        raise errors.bad_value(where, expected, found, _FIX)


def _plain(path):
    """Return a path without the numbers of automatic names: "dense/kernel" for "dense_3/kernel"."""
    return re.sub(r"_\d+(?=[_/]|$)", "", path)


def _shown(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
