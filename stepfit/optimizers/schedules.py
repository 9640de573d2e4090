"""Learning rates that follow from the iteration, the number of updates made so far."""

import math

import jax.numpy as jnp

from stepfit.core import config, errors, registry


@registry.add_family_base
class LearningRateSchedule(registry.Configurable):
    """Base of schedules: subclasses implement ``__call__(step) -> learning rate``.

    Example:

    >>> import stepfit as keras
    >>> class Harmonic(keras.optimizers.schedules.LearningRateSchedule):
    ...     def __init__(self, first):
    ...         self.first = first
    ...     def __call__(self, step):
    ...         return self.first / (step + 1)
    >>> optimizer = keras.optimizers.SGD(Harmonic(0.5))
    >>> float(optimizer.learning_rate), Harmonic(0.5).get_config()
    (0.5, {'first': 0.5})
    """

    def __init__(self):
        super().__init__()

    def __call__(self, step):
        """Return the learning rate at `step`, an int32 scalar that may be traced."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method __call__(self, step) that returns the "
            "learning rate, found none; define it."
        )


class ExponentialDecay(LearningRateSchedule):
    """Decay by a constant factor: ``initial * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: float.
        decay_steps: positive int, steps per factor.
        decay_rate: float, the factor.
        staircase: whether to change only at whole multiples of `decay_steps`.
        name: name.

    Raises:
        ValueError: `decay_steps` not positive.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.ExponentialDecay(0.5, decay_steps=10, decay_rate=0.5)
    >>> float(rate(20))
    0.125
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False,
                 name="ExponentialDecay"):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        periods = _periods(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate * _float(self.decay_rate) ** periods


class PiecewiseConstantDecay(LearningRateSchedule):
    """Constant between boundaries: ``values[i]`` for the first i with ``step <= boundaries[i]``.

    Args:
        boundaries: list of increasing numbers of steps.
        values: list of floats, one more than boundaries; the last holds after all of them.
        name: name.

    Raises:
        ValueError: lengths do not fit, or boundaries do not increase.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.25])
    >>> float(rate(10)), float(rate(11)), float(rate(21))
    (1.0, 0.5, 0.25)
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        where = type(self).__name__
        if len(boundaries) != len(values) - 1:
            raise errors.bad_value(f"{where} values", f"{len(boundaries) + 1} floats, one more "
                                   "than boundaries", f"{len(values)}")  # fmt: skip
        if any(b <= a for a, b in zip(boundaries[:-1], boundaries[1:], strict=True)):
            raise errors.bad_value(f"{where} boundaries", "increasing numbers", "others")
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step):
        step = jnp.asarray(step)
        boundaries = jnp.asarray(self.boundaries).astype(step.dtype)
        return _float(self.values)[jnp.sum(step > boundaries)]


class PolynomialDecay(LearningRateSchedule):
    """Decay along a polynomial: ``(initial - end) * (1 - step / decay_steps) ** power + end``.

    Args:
        initial_learning_rate: float.
        decay_steps: positive int.
        end_learning_rate: float, reached at `decay_steps` and kept.
        power: float; 1 for a straight line.
        cycle: whether to start anew after `decay_steps`, with a period that grows each time.
        name: name.

    Raises:
        ValueError: `decay_steps` not positive.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.5)
    >>> float(rate(5)), float(rate(50))
    (0.75, 0.5)
    """

    def __init__(self, initial_learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0,
                 cycle=False, name="PolynomialDecay"):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step):
        if self.cycle:  # the number of periods begun, at least one
            length = self.decay_steps * jnp.maximum(-_periods(-step, self.decay_steps, True), 1)
        else:
            length = self.decay_steps
            step = jnp.minimum(step, length)
        step = _float(step)
        span = _float(self.initial_learning_rate) - self.end_learning_rate
        return span * (1 - step / length) ** self.power + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """Decay with the inverse of time: ``initial / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: float.
        decay_steps: positive int.
        decay_rate: float.
        staircase: whether to change only at whole multiples of `decay_steps`.
        name: name.

    Raises:
        ValueError: `decay_steps` not positive.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.InverseTimeDecay(1.0, decay_steps=1, decay_rate=0.5)
    >>> float(rate(2))
    0.5
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False,
                 name="InverseTimeDecay"):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        periods = _periods(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate / (1 + self.decay_rate * periods)


class CosineDecay(LearningRateSchedule):
    """Rise in a straight line (if asked for), then decay along half a cosine.

    ``top * ((1 - alpha) * (1 + cos(pi * t / decay_steps)) / 2 + alpha)`` at `t` steps after the
    rise; `top` is `warmup_target`, or `initial_learning_rate` without a rise.

    Args:
        initial_learning_rate: float.
        decay_steps: positive int, length of the decay.
        alpha: float, lowest rate as a share of `top`.
        name: name.
        warmup_target: float, the rate to rise to; None for no rise.
        warmup_steps: int, length of the rise.

    Raises:
        ValueError: `decay_steps` not positive.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)
    >>> float(rate(1)), float(rate(4)), round(float(rate(9)), 4), float(rate(100))
    (0.25, 1.0, 0.5, 0.0)

    Source: Loshchilov and Hutter, 2016, https://arxiv.org/abs/1608.03983; warm-up: Goyal et al.,
    2017, https://arxiv.org/abs/1706.02677.
    """

    def __init__(self, initial_learning_rate, decay_steps, alpha=0.0, name="CosineDecay",
                 warmup_target=None, warmup_steps=0):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step, first = _float(step), _float(self.initial_learning_rate)
        if self.warmup_target is None:
            return self._decayed(step, first)
        rise = step / max(self.warmup_steps, 1) * (self.warmup_target - first) + first
        decayed = self._decayed(step - self.warmup_steps, self.warmup_target)
        return jnp.where(step < self.warmup_steps, rise, decayed)

    def _decayed(self, step, top):
        done = jnp.minimum(step, self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1 + jnp.cos(math.pi * done)) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Decay along half a cosine, again and again, in periods that grow.

    ``initial * ((1 - alpha) * m_mul**i * (1 + cos(pi * done)) / 2 + alpha)`` in period i, of which
    the share `done` has passed; period i takes ``first_decay_steps * t_mul**i`` steps.

    Args:
        initial_learning_rate: float.
        first_decay_steps: positive int, length of period 0.
        t_mul: float, growth of the periods.
        m_mul: float, change of the starting rate from period to period.
        alpha: float, lowest rate as a share of the first.
        name: name.

    Raises:
        ValueError: `first_decay_steps` not positive.

    Example:

    >>> import stepfit as keras
    >>> rate = keras.optimizers.schedules.CosineDecayRestarts(1.0, 10)
    >>> round(float(rate(5)), 4), float(rate(10)), round(float(rate(20)), 4)
    (0.5, 1.0, 0.5)

    Source: Loshchilov and Hutter, 2016, https://arxiv.org/abs/1608.03983.
    """

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0,
                 name="SGDRDecay"):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(self, "first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step):
        if self.t_mul == 1:
            period = _periods(step, self.first_decay_steps, whole=True)
            done = _float(step - period * self.first_decay_steps) / self.first_decay_steps
        else:
            growth, done = _float(self.t_mul), _float(step) / self.first_decay_steps

            def begin(period):
                return (1 - growth**period) / (1 - growth)

            # Logarithms round: look at the period after, and take it unless it is yet to begin.
            period = jnp.floor(jnp.log(1 - done * (1 - growth)) / jnp.log(growth) + 1e-3)
            early = step < begin(period) * self.first_decay_steps - 0.5
            period = jnp.where(early, period - 1, period)
            done = (done - begin(period)) / growth**period
        wave = 0.5 * _float(self.m_mul) ** period * (1 + jnp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)


def _float(x):
    return jnp.asarray(x, config.floatx())


def _periods(step, length, whole):
    """Return ``step / length``, rounded down if `whole` (exactly, where both are ints)."""
    if whole:
        return _float(jnp.floor_divide(step, length))
    return _float(step) / length


def _positive(schedule, name, value):
    if not value > 0:
        raise errors.bad_value(f"{type(schedule).__name__} {name}", "a positive number",
                               errors.describe(value))  # fmt: skip
    return value


_catalogue = registry.Catalogue(
    "learning rate schedule",
    {
        c.__name__: c
        for c in (CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay,
                  PiecewiseConstantDecay, PolynomialDecay)
    },
    base=LearningRateSchedule,
)  # fmt: skip


def serialize(learning_rate_schedule):
    """Return a schedule's config."""
    return registry.serialize(learning_rate_schedule)


def deserialize(config, custom_objects=None):
    """Return the schedule for `serialize`'s result."""
    found = registry.get_registered_object(config.get("class_name"), custom_objects)
    return found.from_config(config["config"]) if found else _catalogue.get(config)
