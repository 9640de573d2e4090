"""What is in a training state: all that a run needs to go on as if it had never stopped."""

import jax.numpy as jnp
import numpy as np

from stepfit.checkpoint import format
from stepfit.core import errors, placement, seeding
from stepfit.random.seed_generator import global_generator

EXTRAS, OF_CALLBACKS = "extras", "callbacks"
_ARRAY = "__array__"  # stands in JSON for an array, with its number


def capture(model, progress, described):
    """Return ``(arrays, document)``: a copy of the training state, for `write`.

    Args:
        model: the model, between two steps.
        progress: the `Progress` of its `fit`.
        described: what `described` said of the model and the data.
    """
    arrays = {
        part: [(v.path, placement.whole(v.peek())) for v in variables]
        for part, variables in variables_of(model).items()
    }
    held: list[np.ndarray] = []
    callbacks = [
        {"class": type(c).__name__, "state": _without_arrays(c.state(), held, type(c).__name__)}
        for c in progress.callbacks
    ]
    arrays[OF_CALLBACKS] = [(str(number), array) for number, array in enumerate(held)]
    document = {
        "format": format.FORMAT,
        "place": progress.place(),
        "stopped": bool(model.stop_training),
        "randomness": {"global": global_generator().get_state(), "seeds": seeding.get_state()},
        "data": progress.source.state(*progress.data_place()),
        "callbacks": callbacks,
        **described,
    }
    return arrays, document


def variables_of(model):
    """Return ``{part: Variables}`` of all that training changes, each Variable once."""
    layout = model._runner("train").layout()
    seen: set[int] = set()
    parts = {}
    for part, variables in {**layout.parts, EXTRAS: layout.extras}.items():
        parts[part] = [v for v in variables if id(v) not in seen]
        seen.update(map(id, variables))
    parts[EXTRAS] = [v for v in parts[EXTRAS] if not v.in_callback_state]
    return parts


def not_finite(arrays):
    """Return the path of the first weight or optimizer's value that is NaN (or a weight that is
    infinite), or None."""
    for part in ("trainable_variables", "non_trainable_variables", "optimizer_variables"):
        good = np.isfinite if part == "trainable_variables" else _is_number
        for path, array in arrays.get(part, ()):
            if jnp.issubdtype(array.dtype, jnp.inexact) and not good(array).all():
                return path
    return None


def _is_number(array):
    return ~np.isnan(array)


def set_values(model, backup):
    """Give the model the values of a backup that was found to fit it."""
    for part, variables in variables_of(model).items():
        for variable, (_, value) in zip(variables, backup.part(part), strict=True):
            variable.assign(value)


def set_randomness(backup):
    """Have the process's generators go on where the backup was."""
    randomness = backup.document["randomness"]
    global_generator().set_state(randomness["global"])
    seeding.set_state(randomness["seeds"])


def set_callbacks(callbacks, backup):
    """Give callbacks their states, each to the one of its class that has the same rank."""
    arrays = [array for _, array in backup.part(OF_CALLBACKS)]
    for callback, state in _matched(callbacks, backup.document["callbacks"]):
        callback.restore(_with_arrays(state, arrays))


def set_data(progress, backup):
    """Have the data go on with the batch after the last one that was trained on."""
    progress.source.restore(backup.document["data"], *progress.data_place())
    validation = backup.document["place"]["validation"]
    if validation is not None and progress.validation is not None:
        progress.validation.restore(validation, 0, 0)


def _matched(callbacks, saved):
    """Return pairs (callback, state); a callback that the backup does not have stays as it is."""
    by_class: dict[str, list] = {}
    for entry in saved:
        by_class.setdefault(entry["class"], []).append(entry["state"])
    pairs = []
    for callback in callbacks:
        states = by_class.get(type(callback).__name__)
        if states:
            pairs.append((callback, states.pop(0)))
    return pairs


def _without_arrays(tree, held, owner):
    """Return a state with a number in place of each array, which goes to `held`."""
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        return {key: _without_arrays(value, held, owner) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_without_arrays(value, held, owner) for value in tree]
    if isinstance(tree, np.generic):
        return tree.item()
    if hasattr(tree, "__array__"):
        held.append(placement.whole(tree))
        return {_ARRAY: len(held) - 1}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise errors.bad_type(
        f"{owner}.state()", "numbers, text, None, arrays, lists and dicts with text as keys", tree
    )


def _with_arrays(tree, arrays):
    if isinstance(tree, dict):
        if set(tree) == {_ARRAY}:
            return arrays[tree[_ARRAY]]
        return {key: _with_arrays(value, arrays) for key, value in tree.items()}
    return [_with_arrays(v, arrays) for v in tree] if isinstance(tree, list) else tree
