"""Outputs: how losses, metrics, targets and weights given per output are matched to the outputs."""

from stepfit.core import errors
from stepfit.core.symbolic import sorted_keys


class Output:
    """One array among a model's outputs.

    Attributes:
        path: for each nesting level, its index and its key; empty for the only output.
        name: what names of its metrics begin with, "" if nothing is known.
        loss_name: the same for the name of its loss.
        label: a name that is never empty, such as "output_0".
    """

    def __init__(self, path, name="", loss_name="", label=""):
        self.path, self.name, self.loss_name = path, name, loss_name
        self.label = name or label

    def pick(self, tree, where, broadcast=False):
        """Return this output's part of targets, weights or losses given per output.

        Args:
            tree: structure by index or by name; with `broadcast`, also one thing for all outputs.
            where: the argument's name, for errors.
        """
        for index, key in self.path:
            if isinstance(tree, dict):
                if key not in tree and index not in tree:
                    if broadcast:
                        return None
                    raise errors.bad_value(where, f"the key {key!r}", f"the keys {list(tree)}")
                tree = tree[key if key in tree else index]
            elif isinstance(tree, (list, tuple)):
                if index >= len(tree):
                    raise errors.bad_value(
                        where, f"an element for output {index}", f"{len(tree)} elements"
                    )
                tree = tree[index]
            elif broadcast or tree is None:
                return tree
            else:
                raise errors.bad_value(
                    where, f"one element for each output ({key!r}, ...)", errors.describe(tree)
                )
        return tree

    def select(self, y_pred):
        """Return this output's array."""
        for index, key in self.path:
            y_pred = y_pred[key] if isinstance(y_pred, dict) else y_pred[index]
        return y_pred


def outputs_of(y_pred, names=None):
    """Return the `Output`s of a model's result, dicts in the order of their sorted keys.

    Args:
        y_pred: an array or a nested list, tuple or dict of arrays.
        names: names of the arrays in this order, where the model knows them.
    """
    paths = []

    def visit(tree, path):
        if not isinstance(tree, (dict, list, tuple)):
            paths.append(path)
            return
        for index, key in enumerate(sorted_keys(tree) if isinstance(tree, dict) else tree):
            key = key if isinstance(tree, dict) else index
            visit(tree[key], (*path, (index, key)))

    visit(y_pred, ())
    if paths == [()]:
        return [Output(())]
    if names is None or len(names) != len(paths):
        names = [None] * len(paths)
    flat = all(len(path) == 1 for path in paths)
    return [_named(path, name, flat) for path, name in zip(paths, names, strict=True)]


def _named(path, known, flat):
    index, key = path[-1]
    if flat and isinstance(key, str):
        return Output(path, key, key)
    label = "_".join(str(k) if isinstance(k, str) else f"output_{k}" for _, k in path)
    if flat:
        return Output(((index, known or key),), known or "", known or "", label)
    last = key if isinstance(key, str) else known or f"output_{index}"
    loss_name = "/".join(str(k) for k in (*(k for _, k in path[:-1]), last))
    return Output(path, known or label, loss_name, label)


def check_keys(tree, outputs, where, check_length=True):
    """Raise where a dict or list given per output does not fit the outputs."""
    if isinstance(tree, dict) and outputs and outputs[0].path:
        known = [o.path[0][1] for o in outputs] + [o.path[0][0] for o in outputs]
        for key in tree:
            if key not in known:
                names = list(dict.fromkeys(str(o.path[0][1]) for o in outputs))
                raise errors.unknown_name(where, "model output", key, names)
    elif isinstance(tree, dict):
        raise errors.bad_value(
            where, "one entry, because the model has one output without a name",
            f"the keys {list(tree)}",
        )  # fmt: skip
    elif isinstance(tree, (list, tuple)) and check_length:
        top = len({o.path[0][0] for o in outputs if o.path}) or 1
        if len(tree) != top:
            raise errors.bad_value(where, f"{top} entries, one per output", f"{len(tree)}")


def check_structure(y, outputs, where):
    """Raise where targets have elements or keys that no output has."""
    if isinstance(y, dict):
        check_keys(y, outputs, where)
    top = len({o.path[0][0] for o in outputs})
    if isinstance(y, (list, tuple)) and len(y) > top:
        raise errors.bad_value(where, f"{top} elements, one per output", f"{len(y)}")


def only_entry(tree, names, where):
    """Return the one entry of a dict given for the only output, if it has that output's name."""
    known = names or ["output"]
    key = next(iter(tree), None)
    if len(tree) != 1:
        raise errors.bad_value(
            where, f"one entry, for the output {known[0]!r}", f"the keys {list(tree)}"
        )
    if names and key not in names:
        raise errors.unknown_name(where, "model output", key, names)
    return tree[key]
