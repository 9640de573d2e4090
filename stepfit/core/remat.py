"""Rematerialization: compute again in the backward pass, rather than keep.

A gradient needs values of the forward pass. What `remat` marks keeps only what goes into it, and is
computed a second time when the gradient gets there: less memory, more time. `remat` marks one
function; inside a `RematScope`, layers mark themselves.

A marked function runs in a trace of its own, and nothing of that may stay behind. So it runs in a
scope of its own too, and what it assigned (moving averages, states of seed generators), the losses
it added and the masks of its outputs leave it as results.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple, Self

import jax

from stepfit.core import errors, masks, symbolic
from stepfit.core import scope as scopes

_MODES = ("full", "activations", "larger_than", "list_of_layers")


class Mode(NamedTuple):
    """What a `RematScope` asks of the layers in it."""

    mode: str | None
    output_size_threshold: int
    layer_names: tuple[str, ...]


_mode: ContextVar[Mode | None] = ContextVar("stepfit_remat_mode", default=None)
_inside: ContextVar[bool] = ContextVar("stepfit_inside_remat", default=False)


class RematScope:
    """Have layers compute again in the backward pass what they do not keep, to save memory.

    It holds for the layers that are made inside it, and for those that are called inside it (in a
    `train_step`, say) and were made outside any. What is computed again is a whole layer: the
    outermost one that is not a model, so a block made of layers keeps only its input. It has an
    effect where derivatives are taken of a step or a stateless call. (On the CPU, XLA undoes it up
    to JAX 0.10.)

    Args:
        mode: "full": every layer; "activations": only the activation functions of layers;
            "larger_than": layers whose outputs have more than `output_size_threshold` elements;
            "list_of_layers": layers whose name is in `layer_names`; None: no layer.
        output_size_threshold: number of elements, all outputs and the batch axis included.
        layer_names: list of names.

    Raises:
        ValueError: an unknown mode. TypeError: `layer_names` is one string.

    Example:

    >>> import stepfit as keras
    >>> with keras.RematScope(mode="list_of_layers", layer_names=["block"]):
    ...     block = keras.layers.Dense(4, activation="gelu", name="block")
    >>> model = keras.Sequential([keras.Input((3,)), block, keras.layers.Dense(1)])

    Source: Chen et al., 2016, https://arxiv.org/abs/1604.06174
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Iterable[str] | None = None,
    ):
        if mode is not None and mode not in _MODES:
            raise errors.unknown_name("RematScope(mode)", "mode", mode, _MODES)
        if isinstance(layer_names, str):
            raise errors.bad_type(
                "RematScope(layer_names)", "a list of names", repr(layer_names),
                f"write [{layer_names!r}]",
            )  # fmt: skip
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or [])

    def __enter__(self) -> Self:
        mode = Mode(self.mode, self.output_size_threshold, tuple(self.layer_names))
        self._token = _mode.set(mode)
        return self

    def __exit__(self, *exc: object) -> None:
        _mode.reset(self._token)


def current_mode():
    """Return the `Mode` of the innermost `RematScope`, or None outside any."""
    return _mode.get()


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f`, made to compute its inner values again when it is differentiated.

    Args:
        f: function of arrays, which may use and assign Variables, or a layer.

    Returns:
        A function with the same arguments and results; the gradients are the same.

    Example:

    >>> import jax, jax.numpy as jnp, stepfit as keras
    >>> f = keras.remat(lambda x: jnp.sum(jnp.sin(jnp.sin(x))))
    >>> bool(jax.grad(f)(1.0) == jax.grad(lambda x: jnp.sin(jnp.sin(x)))(1.0))
    True

    Source: Chen et al., 2016, https://arxiv.org/abs/1604.06174
    """

    @functools.wraps(f, updated=())
    def run(*args, **kwargs):
        if symbolic.any_symbolic(args, kwargs):
            return f(*args, **kwargs)  # only shapes are asked for
        left: dict[str, Any] = {}  # what is no array, from inside

        def inner():
            with scopes.Scope(collect_losses=True) as scope:
                outputs = f(*args, **kwargs)
            left["scope"] = scope
            found = [masks.get_mask(y) for y in jax.tree.leaves(outputs)]
            losses = {key: values for key, (_, values) in scope.layer_losses.items()}
            return outputs, found, scope.values, scope.losses, losses

        token = _inside.set(True)
        try:
            outputs, found, values, losses, layer_losses = jax.checkpoint(inner)()
        finally:
            _inside.reset(token)
        for y, mask in zip(jax.tree.leaves(outputs), found, strict=True):
            if mask is not None:
                masks.set_mask(y, mask)
        for key, value in values.items():
            left["scope"].variables[key].assign(value)
        _hand_on_losses(left["scope"], losses, layer_losses)
        return outputs

    return run


def _hand_on_losses(inner, losses, layer_losses):
    """Add the losses of a scope to those of the scope around."""
    outer = scopes.current_scope()
    if outer is None:
        if losses or layer_losses:
            raise errors.bad_value(
                "remat(f)", "a scope around a function that adds losses", "none",
                "call it in a step or in stateless_call",
            )  # fmt: skip
        return
    outer.losses.extend(losses)
    outer.last_calls.update(inner.last_calls)
    for key, values in layer_losses.items():
        token = inner.layer_losses[key][0]
        known = outer.layer_losses.get(key)
        if known is None or known[0] is not token:
            known = outer.layer_losses[key] = (token, [])
        known[1].extend(values)


def call_layer(layer, call):
    """Return ``call()``, computed again in the backward pass if a `RematScope` asks for it.

    Args:
        layer: the layer, with its `name`, its `_remat_mode`, and `_recomputed_whole`, which says
            whether it is a layer rather than a model made of layers.
        call: function without arguments.
    """
    mode = layer._remat_mode or _mode.get()
    root = None if mode is None else scopes.root_scope()
    if mode is None or root is None or root.abstract or _inside.get():
        return call()
    if mode.mode == "activations":
        with _activation_marked(layer):
            return call()
    return remat(call)() if _asks_for(mode, layer, call) else call()


def _asks_for(mode, layer, call):
    if mode.mode == "list_of_layers":
        return layer.name in mode.layer_names
    if mode.mode == "larger_than" and layer._recomputed_whole:
        return _output_size(call) > mode.output_size_threshold
    return mode.mode == "full" and layer._recomputed_whole


def _output_size(call):
    def run():
        with scopes.Scope(collect_losses=True):  # what it assigns is dropped
            return call()

    return sum(math.prod(y.shape) for y in jax.tree.leaves(jax.eval_shape(run)))


@contextlib.contextmanager
def _activation_marked(layer):
    """Have the layer call its activation function by way of `remat`."""
    held, known = vars(layer), vars(layer).get("activation")
    if not callable(known) or hasattr(known, "_marked"):
        yield
        return
    held["activation"] = marked = remat(known)  # in a way that does not count as a change
    setattr(marked, "_marked", True)  # noqa: B010
    try:
        yield
    finally:
        held["activation"] = known
