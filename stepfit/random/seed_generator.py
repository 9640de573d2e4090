"""Randomness with state: a counter-based generator whose state is a Variable.

A draw takes the state as its key and advances the counter. Inside a compiled step the state is part
of the model's non-trainable state, so every step draws new numbers and resuming repeats them. The
*global* generator serves calls without a seed: inside a step its state is carried along by the
engine, and each call in the step folds in its own number.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors, naming, registry, seeding
from stepfit.core import scope as scopes
from stepfit.core.tracking import Tracked
from stepfit.core.variable import Variable


class SeedGenerator(Tracked, registry.Configurable):
    """A source of fresh random keys, with its state in a Variable.

    Args:
        seed: int, or None to draw one from the process-wide generator that
            `utils.set_random_seed` seeds.
        name: name of the generator.

    Example:

    >>> import stepfit as keras
    >>> g = keras.random.SeedGenerator(seed=1)
    >>> a, b = keras.random.normal((2,), seed=g), keras.random.normal((2,), seed=g)
    >>> bool((a == b).any())
    False
    """

    def __init__(self, seed=None, name=None, **kwargs):
        if kwargs:
            raise errors.unknown_name(
                "SeedGenerator(...)", "argument", next(iter(kwargs)), ("seed", "name")
            )
        if seed is None:
            seed = seeding.draw_seed()
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise errors.bad_type("SeedGenerator(seed)", "an int or None", errors.describe(seed))
        self.name = name or naming.auto_name("seed_generator")
        self.initial_seed = int(seed)
        with naming.name_scope(self.name):
            self.state = Variable(
                np.array([self.initial_seed % 2**32, 0], "uint32"),
                dtype="uint32",
                trainable=False,
                autocast=False,
                name="seed_generator_state",
            )

    def next(self, ordered=True):
        """Return a fresh key (uint32, shape (2,)) and advance the state."""
        key = self.state.value
        self.state.assign(key + np.array([0, 1], "uint32"))
        return key

    def get_config(self):
        """Return the constructor's arguments, the seed included."""
        return {"seed": self.initial_seed}


class _GlobalGenerator(SeedGenerator):
    """The generator behind calls without a seed.

    Inside a scope it does not assign (an assignment in an inner scope, a gradient's say, would be
    lost): it folds the number of the draw within this step into the state that the step was given.
    """

    def next(self, ordered=True):
        scope = scopes.current_scope()
        if scope is None:
            if isinstance(jnp.zeros(()) + 0, jax.core.Tracer):
                raise errors.StepfitRuntimeError(_FROZEN)
            return super().next()
        while scope.parent is not None:
            scope = scope.parent
        if (
            not getattr(scope, "abstract", False)
            and scope.get_current_value(self.state) is None
            and isinstance(jnp.zeros(()) + 0, jax.core.Tracer)
        ):
            raise errors.StepfitRuntimeError(_FROZEN)
        scope.draws = getattr(scope, "draws", 0) + 1
        return jax.random.fold_in(self.state.value, scope.draws)


_FROZEN = (
    "stepfit.random: expected a seed inside jax.jit, found seed=None; the numbers would be frozen "
    "into the compiled function and repeat at every call. Pass seed=SeedGenerator(...) that the "
    "model or layer holds as an attribute, or a jax.random key of your own with jax.random.*."
)

_global = {}


def global_generator():
    """Return the process-wide generator behind calls without a seed."""
    if "generator" not in _global:
        _global["generator"] = _GlobalGenerator(seeding.draw_seed(), name="global_seed_generator")
    return _global["generator"]


def reset_global(seed):
    """Seed the process-wide generator."""
    state = np.array([int(seed) % 2**32, 0], "uint32")
    global_generator().state.assign(state)


def advance_global(scope):
    """Move the process-wide generator on at the end of a step that drew from it in `scope`."""
    if getattr(scope, "draws", 0):
        state = global_generator().state
        scope.bind(state, scope.get_current_value(state) + np.array([0, 1], "uint32"))


def draw_key(seed):
    """Return a JAX key for a `seed` argument: None, int, `SeedGenerator`, or a key itself."""
    if seed is None:
        return global_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return jax.random.PRNGKey(int(seed) % 2**32)
    if isinstance(seed, jax.Array) or (isinstance(seed, np.ndarray) and seed.shape == (2,)):
        return seed
    expected = "None, an int, a SeedGenerator or a JAX key"
    raise errors.bad_type("seed", expected, errors.describe(seed))
