"""EquinoxLayer: an Equinox module as a layer."""

import inspect

import jax

from stepfit.core import errors
from stepfit.layers.foreign import ForeignLayer
from stepfit.utils import optional


class EquinoxLayer(ForeignLayer):
    """An Equinox module as a layer: ``outputs = jax.vmap(module)(inputs)``.

    The module's floating-point arrays are trained. It runs as `eqx.nn.inference_mode` has it
    outside training. If its method has an argument `key`, it gets one in training, another for each
    example; `training` it gets if it has such an argument. The module that the layer was made of
    stays as it was; `layer.module` is one with the weights of now.

    Args:
        module: an `equinox.Module`.
        state: the `eqx.nn.State` that `eqx.nn.make_with_state` returned with it; the method takes
            it as `state` and returns ``(outputs, new_state)``.
        method: name of the method to call.
        vmap: whether the module takes one example, as those in `eqx.nn` do, rather than a batch.
        axis_name: name of the batch axis, for `eqx.nn.BatchNorm`.
        seed: int; seed of the keys given to the module.
        **kwargs: the layer's own arguments, such as `name`.

    Input and output: those of the module, with a batch axis before them; several inputs go in one
    list, tuple or dict.

    Raises:
        TypeError: not a module of Equinox. ValueError: a module with state, and none given.
        ImportError: Equinox is not installed.

    >>> import equinox as eqx, jax, numpy as np, stepfit as keras
    >>> layer = keras.layers.EquinoxLayer(eqx.nn.Linear(3, 4, key=jax.random.key(0)))
    >>> layer(np.ones((2, 3))).shape, layer.count_params()
    ((2, 4), 16)
    """

    _made_of = ("module", "state")

    def __init__(
        self,
        module,
        state=None,
        method="__call__",
        vmap=True,
        axis_name="batch",
        seed=None,
        **kwargs,
    ):
        cls = type(self).__name__
        eqx = optional.load("equinox", cls, "equinox")
        if not isinstance(module, eqx.Module):
            raise errors.bad_type(f"{cls}(module)", "an equinox.Module", module)
        takes = inspect.signature(getattr(module, method)).parameters
        if state is None and "state" in takes and takes["state"].default is inspect.Parameter.empty:
            raise errors.bad_value(
                f"{cls}(state)", "the state that the module needs", "None",
                "make both with eqx.nn.make_with_state(...)(...)",
            )  # fmt: skip
        super().__init__(seed, draws="key" in takes, keeps_state=state is not None, **kwargs)
        self.method, self.vmap, self.axis_name = method, vmap, axis_name
        self._takes_training = "training" in takes
        self._module_class = type(module)
        params, self._static = eqx.partition(module, eqx.is_inexact_array)
        self._take(params, state)
        self.build()

    @property
    def module(self):
        """A module with the current weights."""
        eqx = optional.load("equinox", type(self).__name__, "equinox")
        return eqx.combine(self._values(self._params), self._static)

    def _apply(self, params, state, rng, inputs, training):
        eqx = optional.load("equinox", type(self).__name__, "equinox")
        module = eqx.nn.inference_mode(eqx.combine(params, self._static), value=not training)
        flag = {"training": training} if self._takes_training else {}

        def run(x, key):
            keys = {} if self.seed_generator is None else {"key": key}
            method = getattr(module, self.method)
            if self._keeps_state:
                return method(x, state=state, **keys, **flag)
            return method(x, **keys, **flag), None

        if not self.vmap:
            return run(inputs, rng)
        if rng is not None:
            rng = jax.random.split(rng, jax.tree.leaves(inputs)[0].shape[0])
        axes = 0, None if rng is None else 0
        return jax.vmap(run, axes, (0, None), axis_name=self.axis_name)(inputs, rng)

    def _current_config(self):
        cfg = {**super()._current_config(), "module": self.module}
        return cfg if self._state is None else {**cfg, "state": self._values(self._state)}
