"""What a traced step shows about itself: that it learns, and that its logs are its trackers'.

Both are read off the traced program, so they hold for every style of step: a value that comes out
as it went in was not trained; an optimizer that reads nothing but zeros has no gradients; a log
that does not depend on its metric's state is not its result.
"""

import warnings
from typing import Any

import numpy as np
from jax.extend.core import Literal

from stepfit.core import errors, jax_private


def check_traced(step, traced):
    """Raise (or warn) where a step of the user's own cannot mean what it does.

    Args:
        step: the `Step`.
        traced: its `Traced` form.
    """
    if getattr(step.method, "_serves_both_styles", False) or step.kind == "predict":
        return
    jaxpr = traced.original.jaxpr
    count = len(traced.log_specs)
    logs, new = jaxpr.outvars[:count], jaxpr.outvars[count:]
    places = {
        id(v): (before, after)
        for v, before, after in zip(step.layout.variables, jaxpr.invars, new, strict=False)
    }
    changed = {i for i, (before, after) in places.items() if after is not before}
    if step.kind == "train":
        _check_learning(step, changed)
        if step.stateless:
            _check_gradients(step, jaxpr)
    _check_logs(step, jaxpr, dict(zip(step.log_names, logs, strict=True)), places, changed)


def check_calls(step, calls):
    """Warn of layers that a training step calls as if it did not train, without saying so.

    Args:
        step: the `Step`.
        calls: list of ``(layer, training)``, with None where nobody said.
    """
    told = {id(layer) for layer, training in calls if training is not None}
    for layer, training in calls:
        if training is not None or id(layer) in told:
            continue
        told.add(id(layer))
        found = [x.name for x in layer._flatten_layers() if _acts_in_training(x)]
        if found:
            warnings.warn(
                f"{step.name}: expected {layer._where()} to be called with training=True, found "
                f"nothing said, so that {found[0]!r} acts as in inference; pass training=True, or "
                "training=False if that is meant.",
                stacklevel=errors.users_level(),
            )


_STRENGTHS = ("rate", "stddev", "dropout", "recurrent_dropout")


def _acts_in_training(layer):
    if not (layer._signature.takes_training and layer.trainable):
        return False
    strengths = (getattr(layer, name, None) for name in _STRENGTHS)
    return hasattr(layer, "moving_mean") or any(
        isinstance(x, (int, float)) and x > 0 for x in strengths
    )


def _check_learning(step, changed):
    parts = step.layout.parts
    trainable = parts["trainable_variables"]
    if not trainable or any(id(v) in changed for v in trainable):
        return
    what = f"{step.name}: expected the trainable variables to change, found all {len(trainable)} "
    if any(id(v) in changed for v in parts["optimizer_variables"]):
        raise errors.StepfitValueError(
            f"{what}as they were given, though the optimizer's changed; return the ones that "
            "optimizer.stateless_apply returned."
        )
    metrics = {id(v) for v in parts["metrics_variables"]}
    if changed <= metrics:
        warnings.warn(
            f"{what}as they were given: nothing is learnt. Call optimizer.apply(gradients, "
            "variables), or return what optimizer.stateless_apply returned.",
            stacklevel=errors.users_level(),
        )


_KEEP_ZERO = ("broadcast_in_dim", "convert_element_type", "div", "mul", "neg", "reshape", "copy")


def _check_gradients(step, jaxpr):
    """Raise where all that an optimizer gets for gradients are the zeros of `jax.grad`.

    JAX gives them for values that the function does not depend on, as where a stateless step calls
    `self(x)`, which reads the model's own Variables. A part of the gradients may well be zero.
    """
    source: dict[Any, str] = dict.fromkeys(jaxpr.invars, "state")
    zeros: set = set()
    read: dict[str, dict] = {}  # optimizer -> what it reads that the step computed
    for eqn in jaxpr.eqns:
        names, _ = jax_private.scopes_of(eqn)
        owner = next((name for name in names if name.startswith("optimizer.")), "step")
        given = [var for var in eqn.invars if not isinstance(var, Literal)]
        if owner != "step":
            found = {var: None for var in given if source.get(var) == "step"}
            read.setdefault(owner, {}).update(found)
        elif eqn.primitive.name in _KEEP_ZERO and _is_zero(eqn.invars[0], zeros):
            zeros.update(eqn.outvars)
        source.update(dict.fromkeys(eqn.outvars, owner))
    for found in read.values():
        if found and zeros.issuperset(found):
            count = "the gradient" if len(found) == 1 else f"all {len(found)} gradients"
            raise errors.bad_value(
                f"{step.name}", "a loss that depends on the values it is differentiated by",
                f"{count} zero, whatever the weights are",
                "self(x) reads the model's own Variables: inside jax.value_and_grad call "
                "self.stateless_call(trainable, non_trainable, x, training=True), or write the "
                "step with keras.GradientTape",
            )  # fmt: skip


def _is_zero(var, zeros):
    if isinstance(var, Literal):
        return np.ndim(var.val) == 0 and var.val == 0
    return var in zeros


def _check_logs(step, jaxpr, logs, places, changed):
    """Raise where a log has the name of a metric that the step updates, and is another value.

    A result depends on the metric's old state, or on the new one alone where the step resets it.
    """
    watched = {}
    for metric in step.model.metrics:
        own = [id(v) for v in metric.variables]
        if metric.name in logs and own and all(i in places for i in own) and changed & set(own):
            states = (var for i in own for var in places[i])
            watched[metric.name] = {var for var in states if not isinstance(var, Literal)}
    if not watched:
        return
    depends = _dependence(jaxpr, list(watched.values()))
    for number, name in enumerate(watched):
        var = logs[name]
        if isinstance(var, Literal) or not depends.get(var, 0) >> number & 1:
            raise errors.StepfitValueError(
                f"{step.name} logs[{name!r}]: expected the result of the metric {name!r}, which "
                "the step updates, found another value; return metric.result(), or give the value "
                "another name."
            )


def _dependence(jaxpr, groups):
    """Return, for each variable of a program, a bit for each group of variables it depends on."""
    bits: dict = {}
    for number, group in enumerate(groups):
        for var in group:
            bits[var] = bits.get(var, 0) | 1 << number
    for eqn in jaxpr.eqns:
        found = 0
        for var in eqn.invars:
            if not isinstance(var, Literal):
                found |= bits.get(var, 0)
        if found:
            for var in eqn.outvars:
                bits[var] = bits.get(var, 0) | found
    return bits
