"""Randomness with state: a counter-based generator whose state is a Variable.

A draw takes the state as its key and advances the counter. Inside a compiled step the state is part
of the model's non-trainable state, so every step draws new numbers and resuming repeats them. The
*global* generator serves calls without a seed: the engine hands each step a key of its own, and
each call in the step folds in its own number.
"""

import threading
from typing import Any

import jax
import numpy as np

from stepfit.core import errors, jax_private, naming, registry, seeding
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

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any):
        if kwargs:
            raise errors.unknown_argument(
                "SeedGenerator(...)", next(iter(kwargs)), ("seed", "name")
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

    def next(self, ordered: bool = True) -> jax.Array:
        """Return a fresh key (uint32, shape (2,)) and advance the state."""
        key = self.state.value
        self.state.assign(key + np.array([0, 1], "uint32"))
        return key

    def get_config(self):
        """Return the constructor's arguments, the seed and the name as they came to be."""
        return {"seed": self.initial_seed, "name": self.name}


class _GlobalGenerator:
    """The generator behind calls without a seed: a seed, and the number of draws so far.

    The engine *reserves* a number for each step and gives the step the key made of it, as the value
    of `state` in the step's scope; draws inside the step fold in their own number. Nothing is
    assigned, so nothing is lost in an inner scope, and threads that train do not meet.
    """

    def __init__(self, seed):
        self.state = Variable(
            np.zeros(2, "uint32"), trainable=False, autocast=False, name="global_random_state"
        )
        self._lock = threading.Lock()
        self.reset(seed)

    def reset(self, seed):
        """Start over from a seed."""
        with self._lock:
            self.seed, self.count = int(seed) % 2**32, 0

    def get_state(self):
        """Return its seed and count."""
        with self._lock:
            return {"seed": self.seed, "count": self.count}

    def set_state(self, state):
        """Go on from what `get_state` returned."""
        with self._lock:
            self.seed, self.count = state["seed"], state["count"]

    def reserve(self, number=1):
        """Return the key of the next draw (uint32, shape (2,)) and pass over `number` draws."""
        with self._lock:
            count, self.count = self.count, self.count + number
            return np.array([self.seed, count % 2**32], "uint32")

    def next(self):
        """Return a fresh key: of the step's, inside a step; else the next one."""
        scope = scopes.current_scope()
        if scope is not None:
            root, key = scopes.root_scope(), scope.get_current_value(self.state)
            if key is not None:
                if not jax_private.in_trace_of(key):
                    raise errors.StepfitRuntimeError(_REPEATED)
                root.draws += 1
                return jax.random.fold_in(key, root.draws)
            if root.abstract:
                return np.zeros(2, "uint32")
        if jax_private.under_trace():
            raise errors.StepfitRuntimeError(_FROZEN)
        return self.reserve()


_FROZEN = (
    "stepfit.random: expected a seed inside jax.jit, found seed=None; the numbers would be frozen "
    "into the compiled function and repeat at every call. Pass seed=SeedGenerator(...) that the "
    "model or layer holds as an attribute, or a jax.random key of your own with jax.random.*."
)
_REPEATED = (
    "stepfit.random: expected a key inside lax.scan, a loop, cond, checkpoint or an inner jit, "
    "found seed=None; the same numbers would be drawn each time round. Draw before, or split a "
    "jax.random key and pass its parts in."
)

_global: dict[str, _GlobalGenerator] = {}


def global_generator():
    """Return the process-wide generator behind calls without a seed."""
    if "generator" not in _global:
        _global["generator"] = _GlobalGenerator(seeding.draw_seed())
    return _global["generator"]


def reset_global(seed):
    """Seed the process-wide generator."""
    global_generator().reset(seed)


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
