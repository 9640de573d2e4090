"""What layers made of modules of other libraries share: `JaxLayer`, `FlaxLayer`, and so on.

The module's arrays live in Variables of the layer, one for each: *params*, which are trained, and
*state*, which the module gives back with each call. So they are trained, saved, shared and frozen
like all other weights. Random numbers come from a `SeedGenerator` of the layer.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import dtypes, seeding, symbolic
from stepfit.layers.layer import Layer
from stepfit.layers.signature import shapes_of
from stepfit.layers.variable_tree import VariableTree
from stepfit.random import SeedGenerator


class ForeignLayer(Layer):
    """Base of layers that call a pure function of `(params, state, rng, inputs, training)`.

    Subclasses give `_apply`, and `_initialize` where params are not there from the start.

    Args:
        seed: seed of the random numbers of calls.
        draws: whether calls draw random numbers.
        keeps_state: whether calls return a new state.
    """

    _made_of: tuple[str, ...] = ()  # arguments whose arrays become Variables

    def __init__(self, seed=None, draws=False, keeps_state=True, **kwargs):
        super().__init__(**kwargs)
        self._keeps_state = keeps_state
        self._params = self._state = None
        self._example, self._made = None, False
        self.tracked_params, self.tracked_state = [], []
        self.seed_generator: Any = SeedGenerator(seed) if draws else None

    def _apply(self, params, state, rng, inputs, training):
        """Return ``(outputs, new_state)``."""
        raise NotImplementedError

    def _initialize(self, rng, inputs):
        """Return ``(params, state)``."""
        raise NotImplementedError

    @property
    def params(self):
        """The trained part of the module, as the pytree that it takes, with Variables in it."""
        return None if self._params is None else self._params.tree()

    @property
    def state(self):
        """The part of the module that calls change, as a pytree with Variables in it."""
        return None if self._state is None else self._state.tree()

    def _take(self, params, state):
        """Make the Variables."""
        self._made = True
        if params is not None:
            self._params = VariableTree(self, params, trainable=True)
            self.tracked_params = self._params.variables
        if state is not None:
            self._state = VariableTree(self, state, trainable=False)
            self.tracked_state = self._state.variables
        # The arrays would be held a second time for as long as the layer lives.
        signature = inspect.signature(type(self).__init__)
        given = signature.bind(self, *self._init_arguments[0], **self._init_arguments[1])
        given.arguments.update({n: None for n in self._made_of if n in given.arguments})
        self._init_arguments = given.args[1:], given.kwargs

    def _call_build(self, shapes, arguments):
        self._example = symbolic.map_tensors(self._placeholder, arguments.first)
        self._example = jax.tree.map(self._placeholder, self._example)
        try:
            super()._call_build(shapes, arguments)
        finally:
            self._example = None

    def _placeholder(self, x):
        """Return an array for an input: sizes that are not known are 1."""
        if not hasattr(x, "shape"):
            return x
        dtype = self.variable_dtype if dtypes.is_float(x.dtype) else x.dtype
        shape = tuple(1 if d is None else d for d in shapes_of(x))
        return jnp.ones(shape, dtype) if dtypes.is_float(dtype) else jnp.zeros(shape, dtype)

    def build(self, input_shape=None):
        if self._made:
            return
        with jax.ensure_compile_time_eval():
            example = self._example
            if example is None:
                example = _examples(input_shape, self.variable_dtype)
            params, state = self._initialize(self._get_init_rng(), example)
            self._take(params, state if self._keeps_state else None)

    def call(self, inputs, training=False):
        params = None if self._params is None else self._params.read()
        state = None if self._state is None else self._state.read()
        rng = None if self.seed_generator is None else self._get_call_rng(training)
        outputs, new = self._apply(params, state, rng, inputs, training)
        if self._keeps_state and self._state is not None:
            self._state.assign(new, f"{self._where()} new state")
        return outputs

    # Subclasses may give keys in another structure, or outside training too.

    def _get_init_seed(self):
        return jax.random.PRNGKey(seeding.draw_seed())

    def _get_init_rng(self):
        """Return what the module's initialization gets as `rng`."""
        return self._get_init_seed()

    def _get_call_seed(self):
        return self.seed_generator.next()

    def _get_call_rng(self, training):
        """Return what a call of the module gets as `rng`: by default a key in training, or None."""
        return self._get_call_seed() if training else None

    def get_config(self):
        """Return the constructor's arguments; a module without a config of its own as it is."""
        now, config = self._current_config(), super().get_config()
        kept = {name: now[name] for name in self._made_of if name in now}
        module = getattr(self, "module", None)
        if module is not None and not hasattr(module, "get_config"):
            kept["module"] = module
        return {**config, **kept}

    def _values(self, tree):
        """Return the tree with copies of the Variables' values in it, for a config."""
        return None if tree is None else jax.tree.map(jnp.array, tree.read())


def _examples(shape, dtype):
    """Return arrays for a structure of shapes: sizes that are not known are 1."""
    if isinstance(shape, dict):
        return {k: _examples(v, dtype) for k, v in shape.items()}
    if shape and isinstance(shape[0], (tuple, list, dict)):
        return type(shape)(_examples(s, dtype) for s in shape)
    return jnp.ones([1 if d is None else d for d in shape], dtype)
