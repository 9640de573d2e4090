"""The training state as lists, and as nested dicts by path, which checkpoint libraries like."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.training.state import TrainState

_PARTS = ("trainable_variables", "non_trainable_variables", "optimizer_variables",
          "metrics_variables")  # fmt: skip
_FORMATS = ("backend_tensor", "numpy_array")


class StateTree:
    """The part of a model that gives and takes its state as a whole."""

    # What the model has beside this.
    _state_part: Any
    _runner: Callable[[str], Any]

    def get_state(self, kind: Literal["train", "test", "predict"] = "train") -> TrainState:
        """Return the current values of everything a step may change, as a `TrainState`.

        Args:
            kind: "train" (four parts), "test" (three) or "predict" (two).
        """
        return self._runner(kind).layout().state(lambda v: v.value)

    def set_state(self, state: TrainState | Sequence[Any]) -> None:
        """Write a state back to the model, its optimizers and metrics.

        Args:
            state: a `TrainState`, or the plain tuple of lists with 4, 3 or 2 parts: as a loop of
                your own leaves them.

        Raises:
            ValueError: the parts do not fit; nothing is changed then.
        """
        parts = list(state)
        kinds = {4: "train", 3: "test", 2: "predict"}
        if len(parts) not in kinds:
            raise errors.bad_value("set_state(state)", "4, 3 or 2 parts", str(len(parts)))
        layout = self._runner(kinds[len(parts)]).layout()
        pairs = []
        for (name, variables), values in zip(layout.parts.items(), parts, strict=True):
            for v, value in scopes.pair(f"set_state({name})", variables, values):
                pairs.append((v, v.conform(value)))
        for v, value in pairs:
            v.assign(value)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """Return the values of all Variables as nested dicts, by path.

        Args:
            value_format: "backend_tensor" for JAX arrays, "numpy_array" for NumPy's.

        Returns:
            dict with the keys "trainable_variables", "non_trainable_variables",
            "optimizer_variables" and "metrics_variables"; in each a dict for each part of the
            Variables' paths.

        Raises:
            ValueError: another format, or two Variables with the same path.

        >>> import stepfit as keras
        >>> layers = [keras.Input((2,)), keras.layers.Dense(1, name="out")]
        >>> model = keras.Sequential(layers, name="net")
        >>> model.get_state_tree()["trainable_variables"]["net"]["out"]["bias"].tolist()
        [0.0]
        """
        if value_format not in _FORMATS:
            where = "get_state_tree(value_format)"
            raise errors.unknown_name(where, "format", value_format, _FORMATS)
        read = (lambda v: v.numpy()) if value_format == "numpy_array" else (lambda v: v.value)
        return {part: self._as_tree(part, read) for part in _PARTS}

    def _as_tree(self, part, read):
        tree: dict[str, Any] = {}
        for variable in self._state_part(part):
            *outer, last = variable.path.split("/")
            place = tree
            for name in outer:
                place = place.setdefault(name, {})
                if not isinstance(place, dict):
                    break
            if not isinstance(place, dict) or last in place:
                raise errors.bad_value(
                    f"get_state_tree()[{part!r}]", "Variables with paths of their own",
                    f"{variable.path!r} twice", "give layers or Variables names of their own",
                )  # fmt: skip
            place[last] = read(variable)
        return tree

    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Write values from a tree as `get_state_tree` returns it; what it lacks stays.

        Args:
            state_tree: nested dicts of arrays.

        Raises:
            ValueError: a name that the model does not have, or an array of another shape; nothing
                is changed then.
        """
        pairs = []
        for part, tree in state_tree.items():
            if part not in _PARTS:
                raise errors.unknown_name("set_state_tree(state_tree)", "part", part, _PARTS)
            variables = {v.path: v for v in self._state_part(part)}
            for path, value in _leaves(tree):
                if path not in variables:
                    where = f"set_state_tree(state_tree[{part!r}])"
                    raise errors.unknown_name(where, "variable", path, variables)
                pairs.append((variables[path], variables[path].conform(value)))
        for variable, value in pairs:
            variable.assign(value)


def _leaves(tree, prefix=""):
    """Yield ``(path, value)`` for all that stands in nested dicts."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
