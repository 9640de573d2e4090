"""Weights from one model in memory to another: what matched, and why the rest did not."""

import dataclasses

import numpy as np

from stepfit.core import errors
from stepfit.saving.chosen import Chosen, below, check_start
from stepfit.saving.state_tree import places

_WAYS = ("name", "place")


@dataclasses.dataclass
class TransferReport:
    """What `transfer_weights` did.

    Attributes:
        transferred: `(path in the source, path in the target)` of variables that were copied.
        skipped: `(path in the target, reason)` of variables that were left alone.
        unused: paths of variables of the source that nothing was copied from.
    """

    transferred: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)
    unused: list = dataclasses.field(default_factory=list)

    def __str__(self):
        counts = [f"{len(self.transferred)} variables transferred"]
        counts += [f"skipped {path!r}: {reason}" for path, reason in self.skipped]
        counts += [f"not used: {path!r}" for path in self.unused]
        return "\n".join(counts)


def transfer_weights(source, target, prefix=None, rename=None, by="name"):
    """Copy the weights of one model to those of another that they fit.

    Args:
        source, target: built models or layers.
        prefix: text, or a list of them: only variables of the target below such a path
            ("encoder", "encoder/dense/kernel") are set.
        rename: dict from the start of a path in the target to its start in the source, as in
            ``{"backbone": "encoder"}``.
        by: "name": variables of one path, made of the names of layers, belong together; "place":
            those that stand at the same place, whatever the layers' names are.

    Returns:
        `TransferReport`.

    Raises:
        ValueError: nothing fits, a prefix that no variable has, or a part in `rename` that is not
            there; nothing is changed then.

    >>> import stepfit as keras
    >>> def model(units):
    ...     return keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, name="body"),
    ...                              keras.layers.Dense(units, name="head")])
    >>> print(keras.saving.transfer_weights(model(1), model(3)))
    2 variables transferred
    skipped 'head/kernel': shape (4, 1) in the source, (4, 3) here
    skipped 'head/bias': shape (1,) in the source, (3,) here
    not used: 'head/kernel'
    not used: 'head/bias'
    """
    where = "transfer_weights(...)"
    if by not in _WAYS:
        raise errors.unknown_name("transfer_weights(by)", "way", by, _WAYS)
    for argument, model in (("source", source), ("target", target)):
        if not getattr(model, "built", False):
            raise errors.bad_value(
                f"transfer_weights({argument})", "a built model or layer", errors.describe(model),
                "call it on data, or build(input_shape)",
            )  # fmt: skip
    here, there = _by_path(target, by), _by_path(source, by)
    chosen = Chosen(prefix, here, "transfer_weights(prefix)")
    _check_rename(rename, here, there)
    report, pairs, used = TransferReport(), [], set()
    for path, variable in here.items():
        found = there.get(_renamed(path, rename or {}))
        reason = _reason(variable, found) if path in chosen else "not below the prefix"
        if reason:
            report.skipped.append((path, reason))
        else:
            pairs.append((variable, np.asarray(found.numpy())))
            report.transferred.append((_renamed(path, rename or {}), path))
            used.add(_renamed(path, rename or {}))
    report.unused = [path for path in there if path not in used]
    if not pairs:
        fix = "name the layers alike, pass rename={...}"
        raise errors.bad_value(
            where, "variables of the target that the source has too",
            f"none ({report.skipped[0][0]!r}: {report.skipped[0][1]})" if here else "no variables",
            fix + (", or by='place'" if by == "name" else ""),
        )  # fmt: skip
    for variable, value in pairs:
        variable.assign(value)
    return report


def _by_path(model, by):
    """Return ``{path: variable}``; the model's own name is no part of the path."""
    found = {}
    if by == "name":
        for variable in model.weights:
            path, count = below(model, variable.path), 1
            while path in found:
                count += 1
                path = f"{below(model, variable.path)} ({count})"
            found[path] = variable
        return found
    for place in places(model):
        is_layer = hasattr(place.object, "_saved_variables")
        if is_layer and not hasattr(place.object, "apply_gradients"):
            for i, variable in enumerate(place.object._saved_variables()):
                found[f"{place.path}/{i}" if place.path else f"{i}"] = variable
    return found


def _check_rename(rename, here, there):
    """Raise where `rename` names parts that the target, or the source, has not."""
    texts = isinstance(rename or {}, dict) and all(
        isinstance(text, str) for pair in (rename or {}).items() for text in pair
    )
    if not texts:
        expected = "a dict from text to text, as in {'backbone': 'encoder'}"
        raise errors.bad_type("transfer_weights(rename)", expected, rename)
    for start, other in (rename or {}).items():
        if not start.strip("/"):
            raise errors.bad_value(
                "transfer_weights(rename)", "the start of a path in the target", repr(start),
                "name a part of it, as in {'backbone': 'encoder'}",
            )  # fmt: skip
        check_start(start.rstrip("/"), here, "transfer_weights(rename), of the target")
        check_start(other.strip("/"), there, f"transfer_weights(rename[{start!r}]), of the source")


def _renamed(path, rename):
    for start, other in rename.items():
        if path == start or path.startswith(start.rstrip("/") + "/"):
            return (other.rstrip("/") + path[len(start.rstrip("/")) :]).lstrip("/")
    return path


def _reason(variable, found):
    """Return why a variable is not set; None if it can be."""
    if found is None:
        return "the source has none of this path"
    if tuple(found.shape) != tuple(variable.shape):
        return f"shape {tuple(found.shape)} in the source, {tuple(variable.shape)} here"
    if ("int" in found.dtype) != ("int" in variable.dtype):
        return f"dtype {found.dtype} in the source, {variable.dtype} here"
    return None
