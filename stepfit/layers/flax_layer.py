"""FlaxLayer and NnxLayer: modules of Flax, Linen and NNX, as layers."""

import inspect

from stepfit.core import errors
from stepfit.layers.foreign import ForeignLayer
from stepfit.utils import optional


class FlaxLayer(ForeignLayer):
    """A Flax Linen module as a layer.

    The collection "params" is trained. All others ("batch_stats", ...) are state, which calls in
    training change. In training the module gets keys for "dropout"; if the method has an argument
    `training`, it gets that too. What a module sows in "intermediates" is dropped.

    Args:
        module: a `flax.linen.Module`.
        method: the method to call, by name or as a method of the module; or a function
            ``(module, inputs)`` or ``(module, inputs, training)``. Default ``__call__``.
        variables: what ``module.init`` returned; default: made when the layer is built.
        **kwargs: the layer's own arguments, `name` and `dtype` among them, and `seed`, an int.

    Input and output: those of the module; several inputs go in one list, tuple or dict.

    Raises:
        TypeError: not a module of Linen. ImportError: Flax is not installed.

    >>> import numpy as np, stepfit as keras, flax.linen as nn
    >>> layer = keras.layers.FlaxLayer(nn.Dense(4))
    >>> layer(np.ones((2, 3))).shape, [v.path for v in layer.weights]
    ((2, 4), ['flax_layer/params/bias', 'flax_layer/params/kernel'])
    """

    _made_of = ("variables",)

    def __init__(self, module, method=None, variables=None, **kwargs):
        linen = optional.load("flax.linen", type(self).__name__, "flax")
        if not isinstance(module, linen.Module):
            raise errors.bad_type(
                f"{type(self).__name__}(module)", "a flax.linen.Module", module,
                "NnxLayer takes modules of flax.nnx" if _is_nnx(module) else None,
            )  # fmt: skip
        super().__init__(seed=kwargs.pop("seed", None), draws=True, **kwargs)
        self.module = module
        self.method = method
        called = getattr(module, method or "__call__") if not callable(method) else method
        self._takes_training = "training" in inspect.signature(called).parameters
        if variables is not None:
            self._take(*_split(variables))
            self.build()

    def _get_init_rng(self):
        return {"params": self._get_init_seed(), "dropout": self._get_init_seed()}

    def _get_call_rng(self, training):
        return {"dropout": self._get_call_seed()} if training else {}

    def _initialize(self, rng, inputs):
        flag = {"training": True} if self._takes_training else {}
        return _split(self.module.init(rng, inputs, method=self.method, **flag))

    def _apply(self, params, state, rng, inputs, training):
        linen = optional.load("flax.linen", type(self).__name__, "flax")
        flag = {"training": training} if self._takes_training else {}
        return self.module.apply(
            {**params, **state}, inputs, rngs=rng, method=self.method,
            mutable=linen.DenyList(["params", "intermediates"]), **flag,
        )  # fmt: skip

    def _current_config(self):
        cfg = super()._current_config()
        name = getattr(self.method, "__name__", None)
        own = inspect.unwrap(getattr(type(self.module), name or "", None) or _is_nnx)
        if name and inspect.unwrap(getattr(self.method, "__func__", self.method)) is own:
            cfg["method"] = name  # the module's own, found by its name again
        return cfg


def _split(variables):
    """Return a module's collections as the two that Keras makes of them: params, and the rest."""
    params = {k: v for k, v in variables.items() if k == "params"}
    return params, {k: v for k, v in variables.items() if k != "params"}


def _is_nnx(module):
    return any(cls.__module__.startswith("flax.nnx") for cls in type(module).__mro__)


class NnxLayer(ForeignLayer):
    """A Flax NNX module as a layer.

    Every `nnx.Param` is trained. All other variables (batch statistics, the keys and counts of
    `nnx.Rngs`) are state, which calls change. The module is used in its training mode in training,
    else in its evaluation mode; if its method has an argument `training`, it gets that too. The
    layer works on a copy: the module that it was made of stays as it was, and `layer.module` is one
    with the weights of now.

    Args:
        module: a `flax.nnx.Module`.
        method: name of the method to call.
        **kwargs: the layer's own arguments, such as `name`.

    Input and output: those of the module; several inputs go in one list, tuple or dict.

    Raises:
        TypeError: not a module of NNX. ImportError: Flax is not installed.

    >>> import numpy as np, stepfit as keras
    >>> from flax import nnx
    >>> layer = keras.layers.NnxLayer(nnx.Linear(3, 4, rngs=nnx.Rngs(0)))
    >>> layer(np.ones((2, 3))).shape, layer.count_params()
    ((2, 4), 16)
    """

    _made_of = ("module",)

    def __init__(self, module, method="__call__", **kwargs):
        nnx = optional.load("flax.nnx", type(self).__name__, "flax")
        if not isinstance(module, nnx.Module):
            raise errors.bad_type(
                f"{type(self).__name__}(module)", "a flax.nnx.Module", module,
                "FlaxLayer takes modules of flax.linen" if hasattr(module, "apply") else None,
            )  # fmt: skip
        super().__init__(**kwargs)
        self.method = method
        called = inspect.signature(getattr(module, method)).parameters
        self._takes_training = "training" in called
        self._module_class = type(module)
        self._definition, params, state = nnx.split(module, nnx.Param, ...)
        self._take(params, state)
        self.build()

    @property
    def module(self):
        """A module with the current weights."""
        nnx = optional.load("flax.nnx", type(self).__name__, "flax")
        return nnx.merge(self._definition, self._values(self._params), self._values(self._state))

    def _apply(self, params, state, rng, inputs, training):
        nnx = optional.load("flax.nnx", type(self).__name__, "flax")
        module = nnx.merge(self._definition, params, state)
        module.train() if training else module.eval()
        flag = {"training": training} if self._takes_training else {}
        outputs = getattr(module, self.method)(inputs, **flag)
        return outputs, nnx.state(module, nnx.Not(nnx.Param))

    def _current_config(self):
        return {**super()._current_config(), "module": self.module}
