"""Outputs: how losses, metrics, targets and weights given per output are matched to the outputs."""

from stepfit.core import errors


class Output:
    """One array among a model's outputs.

    Attributes:
        name: the output's name, "" for the only one.
        path: for each nesting level, its index and its key.
    """

    def __init__(self, name, path):
        self.name, self.path = name, path

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
    """Return the `Output`s of a model's result.

    Args:
        y_pred: an array or a nested list, tuple or dict of arrays.
        names: names for the top level of a list, where the model knows them.
    """
    found = []

    def visit(tree, path, label):
        if isinstance(tree, dict):
            items = [(i, k, v) for i, (k, v) in enumerate(tree.items())]
        elif isinstance(tree, (list, tuple)):
            known = names if not path and names and len(names) == len(tree) else None
            items = [(i, known[i] if known else i, v) for i, v in enumerate(tree)]
        else:
            found.append(Output(label, path))
            return
        for index, key, value in items:
            name = str(key) if not isinstance(key, int) else f"output_{key}"
            visit(value, (*path, (index, key)), f"{label}_{name}" if label else name)

    visit(y_pred, (), "")
    if len(found) == 1:
        found[0].name = ""
    return found


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
