"""JaxLayer: a pure JAX function of parameters and inputs as a layer."""

import inspect

from stepfit.core import errors
from stepfit.layers.foreign import ForeignLayer

_CALL = ("params", "state", "rng", "inputs", "training")
_INIT = ("rng", "inputs", "training")


class JaxLayer(ForeignLayer):
    """A model written as a pure JAX function: ``outputs = call_fn(params, inputs)``.

    `call_fn` takes any of these arguments, in any order, under these names: `params`; `state`, and
    then it returns ``(outputs, new_state)``; `rng`, a key in training and None otherwise; `inputs`,
    which it must take, an array or a pytree; `training`, a bool.

    `init_fn` takes `inputs` and, if it likes, `rng` and `training`, which is True; it returns the
    params, or ``(params, state)`` if `call_fn` takes a state. It is called once, on ones (zeros
    where inputs are integers) of the inputs' shapes, in which sizes that are not known are 1.

    Args:
        call_fn: the function.
        init_fn: function that makes params and state; needed where they are not given.
        params: pytree with the values to start from. Its floats are trained, in the dtype of the
            layer's policy.
        state: pytree with the values to start from of what `call_fn` carries from call to call.
        seed: int; seed of the keys given to `call_fn`.
        native_serialization_platforms: accepted for Keras's signature, where it concerns
            TensorFlow.
        **kwargs: the layer's own arguments, such as `name`.

    Raises:
        ValueError: a function with other arguments, or nothing to start from.

    >>> import jax.numpy as jnp, stepfit as keras
    >>> layer = keras.layers.JaxLayer(lambda params, inputs: inputs @ params["w"],
    ...                               params={"w": jnp.ones((3, 2))})
    >>> layer(jnp.ones((1, 3))).tolist(), layer.trainable_variables[0].shape
    ([[3.0, 3.0]], (3, 2))
    """

    _made_of = ("params", "state")

    def __init__(
        self,
        call_fn,
        init_fn=None,
        params=None,
        state=None,
        seed=None,
        native_serialization_platforms=None,
        **kwargs,
    ):
        cls = type(self).__name__
        self._call_takes = _names_of(f"{cls}(call_fn)", call_fn, _CALL)
        init_takes = () if init_fn is None else _names_of(f"{cls}(init_fn)", init_fn, _INIT)
        self._init_takes = init_takes
        keeps = [n for n in ("params", "state") if n in self._call_takes]
        if keeps and init_fn is None and params is None and state is None:
            raise errors.bad_value(
                f"{cls}(init_fn)", f"init_fn or params, since call_fn takes {keeps[0]!r}",
                "neither", "pass init_fn=..., a function of (rng, inputs), or params=...",
            )  # fmt: skip
        super().__init__(
            seed, draws="rng" in self._call_takes, keeps_state="state" in keeps, **kwargs
        )
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        if not keeps or params is not None or state is not None:
            self._take(params, state)
            self.build()

    def _initialize(self, rng, inputs):
        given = {"rng": rng, "inputs": inputs, "training": True}
        made = self.init_fn(*(given[name] for name in self._init_takes))
        return _two(f"{self._where()} init_fn", "params", made) if self._keeps_state else (
            made, None
        )  # fmt: skip

    def _apply(self, params, state, rng, inputs, training):
        given = {"params": params, "state": state, "rng": rng, "inputs": inputs,
                 "training": training}  # fmt: skip
        made = self.call_fn(*(given[name] for name in self._call_takes))
        return _two(f"{self._where()} call_fn", "outputs", made) if self._keeps_state else (
            made, None
        )  # fmt: skip

    def _current_config(self):
        cfg = super()._current_config()
        names = inspect.signature(type(self).__init__).parameters
        if self.init_fn is None and {"params", "state"} <= set(names):  # no other way to have them
            cfg |= {"params": self._values(self._params), "state": self._values(self._state)}
        return cfg


def _names_of(where, function, known):
    """Return the names of a function's arguments, which must be among `known`."""
    if not callable(function):
        fix = "decorate it with @keras.saving.register_keras_serializable() to load it by name"
        raise errors.bad_type(
            where,
            "a function",
            errors.describe(function),
            fix if isinstance(function, str) else None,
        )
    names = tuple(inspect.signature(function).parameters)
    for name in names:
        if name not in known:
            raise errors.unknown_name(where, "argument", name, known)
    if "inputs" not in names:
        raise errors.bad_value(where, "an argument 'inputs'", f"({', '.join(names)})")
    return names


def _two(where, first, made):
    if not isinstance(made, tuple) or len(made) != 2:
        raise errors.bad_value(
            where, f"({first}, state), since call_fn takes 'state'", errors.describe(made)
        )
    return made
