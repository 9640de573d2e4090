"""Layers around a layer: over time, and in both directions of time."""

from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import errors, registry
from stepfit.core import scope as scopes
from stepfit.layers.layer import Layer
from stepfit.layers.recurrent_loop import added_loss, run_steps

_MERGES = ("sum", "mul", "ave", "concat", None)


class Wrapper(Layer):
    """Base of layers around one layer, which builds it with its own input's shape.

    Args:
        layer: the layer.
    """

    def __init__(self, layer, **kwargs):
        _check_layer(layer, f"{type(self).__name__}(layer)")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build(input_shape)


def _check_layer(layer, where):
    if not isinstance(layer, Layer):
        raise errors.bad_type(where, "a layer", layer)


class TimeDistributed(Wrapper):
    """Applies a layer to each step of a sequence: ``y[:, t] = layer(x[:, t])``.

    A layer that draws random numbers, or changes its state, runs step after step; any other runs
    on all steps at once.

    Args:
        layer: the layer.

    Input: ``(batch, steps, ...)``; output: ``(batch, steps, ...)``.

    Call arguments:
        mask: bools ``(batch, steps)``, handed to the layer if it takes a mask.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.TimeDistributed(keras.layers.Conv2D(4, 3))
    >>> layer(np.ones((2, 5, 8, 8, 3))).shape
    (2, 5, 6, 6, 4)
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise errors.bad_value(
                f"{self._where()} input", "at least 3 axes", f"shape {tuple(input_shape)}"
            )
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs, training=None, mask=None):
        takes_mask = mask is not None and self.layer._signature.takes_mask
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            raise errors.bad_value(
                f"{self._where()} mask", f"shape {tuple(inputs.shape[:2])}",
                f"shape {tuple(mask.shape)}",
            )  # fmt: skip

        def step(x, mask=None):
            options: dict[str, Any] = {"mask": mask} if takes_mask else {}
            if self.layer._signature.takes_training:
                options["training"] = training
            return self.layer(x, **options)

        given = (inputs, mask) if takes_mask else (inputs,)
        output, loss = self._at_once(step, given) or self._one_by_one(step, given)
        if loss is not None:
            self.add_loss(loss)
        return output

    def _at_once(self, step, given):
        """Return output and loss, or None where the layer assigns to Variables as it runs."""
        assigned: list[int] = []

        def pure(*given):
            with scopes.Scope() as scope:
                output = step(*given)
            assigned.extend(scope.values)
            return output, added_loss(scope)

        output, losses = jax.vmap(pure, 1, (1, 0))(*given)
        return None if assigned else (output, None if losses is None else jnp.sum(losses))

    def _one_by_one(self, step, given):
        output, _, loss = run_steps(lambda x, states: (step(*x), states), given, [])
        return output, loss


class Bidirectional(Layer):
    """Runs a recurrent layer forwards, another one backwards, and merges what they return.

    Args:
        layer: `RNN`, `LSTM`, or any layer with `go_backwards`, `return_sequences`, `return_state`
            and `stateful`. It is the model for two new layers, and is not used itself.
        merge_mode: "concat", "sum", "mul", "ave", or None for both outputs apart.
        weights: initial weights: the forward layer's, then the backward layer's; or None.
        backward_layer: the layer that runs backwards; default a second one like `layer`.

    Call arguments:
        initial_state: the forward layer's states, then the backward layer's.
        mask: bools ``(batch, steps)``; the output of a masked step is 0.

    Returns:
        the merged output; with the layer's `return_state` a tuple of it and of the states of both.

    Source: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True))
    >>> layer(np.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    def __init__(
        self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs
    ):
        _check_layer(layer, "Bidirectional(layer)")
        if merge_mode not in _MERGES:
            raise errors.bad_value(
                "Bidirectional(merge_mode)", "'sum', 'mul', 'ave', 'concat' or None",
                repr(merge_mode),
            )  # fmt: skip
        super().__init__(**kwargs)
        self.forward_layer = _like(layer, f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            name = f"backward_{layer.name.removeprefix('backward_')}"
            backward_layer = _like(layer, name, go_backwards=not layer.go_backwards)
        _check_layer(backward_layer, "Bidirectional(backward_layer)")
        self.backward_layer = backward_layer
        self._check_pair()
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = one.return_sequences
        self.merge_mode = merge_mode
        self._given_weights = weights
        self.stateful, self.return_state = layer.stateful, layer.return_state
        self.return_sequences = layer.return_sequences
        self.input_spec = layer.input_spec

    def _check_pair(self):
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise errors.bad_value(
                "Bidirectional(backward_layer)",
                f"go_backwards={not forward.go_backwards}, other than the layer's",
                f"go_backwards={backward.go_backwards}",
            )  # fmt: skip
        for name in ("stateful", "return_sequences", "return_state"):
            wanted, found = getattr(forward, name), getattr(backward, name)
            if wanted != found:
                raise errors.bad_value(
                    "Bidirectional(backward_layer)", f"{name}={wanted}, as the layer has",
                    f"{name}={found}",
                )  # fmt: skip

    def build(self, sequences_shape, initial_state_shape=None):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._given_weights:
            self.set_weights(self._given_weights)

    def call(self, sequences, initial_state=None, mask=None, training=None):
        results = []
        for i, layer in enumerate((self.forward_layer, self.backward_layer)):
            options: dict[str, Any] = {}
            if initial_state is not None:
                half = len(initial_state) // 2
                options["initial_state"] = initial_state[i * half :][:half]
            if layer._signature.takes_mask:
                options["mask"] = mask
            if layer._signature.takes_training:
                options["training"] = training
            results.append(layer(sequences, **options))
        outputs, states = results, ()
        if self.return_state:
            outputs = [found[0] for found in results]
            states = (*results[0][1:], *results[1][1:])
        forward, backward = (y.astype(self.compute_dtype) for y in outputs)
        if self.return_sequences:
            backward = jnp.flip(backward, 1)
        merged = self._merge(forward, backward)
        if self.merge_mode is None:
            return (*merged, *states)
        return (merged, *states) if self.return_state else merged

    def _merge(self, forward, backward):
        if self.merge_mode == "concat":
            return jnp.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        if self.merge_mode is None:
            return forward, backward
        return (forward + backward) / (2 if self.merge_mode == "ave" else 1)

    def compute_mask(self, inputs, previous_mask=None):
        mask = previous_mask if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else [mask]

    @property
    def states(self):
        """The states of both layers, if they are stateful and built; else None."""
        both = [layer.states for layer in (self.forward_layer, self.backward_layer)]
        return None if None in both else (*both[0], *both[1])

    def reset_state(self):
        """Set the states that both layers keep to zeros."""
        if not self.stateful:
            raise errors.StepfitAttributeError(
                f"{self._where()} reset_state(): expected a stateful layer, found stateful=False."
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def _current_config(self):
        now = {"layer": self.forward_layer, "backward_layer": self.backward_layer, "weights": None}
        return {**super()._current_config(), **now}


def _like(layer, name, **settings):
    """Return a new layer with the config of `layer`, but for some settings."""
    config = registry.serialize(layer)
    config.pop("build_config", None)
    config["config"] = {**config["config"], "name": name, **settings}
    return registry.deserialize(config)
