"""Traced values that a step leaves in attributes: they stand for no number once it is traced.

A step, or a layer's `call`, may keep an array in an attribute and use it later in the same step.
After the trace it would only cause an error of JAX's, far from its cause. A `Leftover` takes its
place, which says at any use what it was.
"""

import jax

from stepfit.core import errors


class Leftover:
    """Stands where a traced value was kept; every use of it is an error that says so."""

    _text = ""

    def __init__(self, place, where):
        self._text = errors.message(
            place, "a value", f"what is left of one that {where} computed while it was compiled",
            "return it in the logs, or keep it in a Variable and assign to that",
        )  # fmt: skip

    def __getattr__(self, name):
        raise errors.StepfitAttributeError(self._text)

    def __repr__(self):
        return f"<{self._text}>"


def _refuse(self, *args, **kwargs):
    raise errors.StepfitRuntimeError(self._text)


for _name in (
    "float int bool index complex len iter getitem array add radd sub rsub mul rmul "
    "truediv rtruediv floordiv rfloordiv mod pow rpow matmul rmatmul neg abs lt le gt ge round call"
).split():
    setattr(Leftover, f"__{_name}__", _refuse)


def leave_behind(model, where):
    """Replace the traced values that a model and its layers hold in attributes.

    Args:
        model: the model.
        where: what was traced, for messages.
    """
    for layer in [model, *model._flatten_layers(include_self=False)]:
        skip = layer._untracked_names | layer._unwatched_names
        held = vars(layer)
        for name, value in list(held.items()):
            if name not in skip and (_is_tracer(value) or isinstance(value, (list, tuple, dict))):
                place = f"{layer._where()} attribute {name!r}"
                # Past __setattr__: a model is not changed by this.
                held[name] = _without_tracers(value, place, where)


def _without_tracers(value, place, where):
    """Return a value as it may be kept; containers are copied, for others may hold them too."""
    if isinstance(value, jax.core.Tracer):
        return Leftover(place, where)
    if type(value) is dict and any(map(_is_tracer, value.values())):
        return {k: _without_tracers(v, place, where) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and any(map(_is_tracer, value)):
        items = [_without_tracers(v, place, where) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _is_tracer(value):
    return isinstance(value, jax.core.Tracer)
