"""Timing: contestants take turns, window by window, and their results are compared.

- A **row** is one operation on one workload; its contestants are the frameworks that have it.
- A **window** is what is timed: as many repetitions as take `window` seconds, at least one.
- A **round** gives every contestant one window, in an order that rotates, so that whatever else the
  machine does meets all alike. Ratios are of medians over the rounds.
- A contestant that has spent its `patience` takes no further windows. If its very first repetition
  already did, that one counts, less the compile time that JAX reports.
"""

import contextlib
import dataclasses
import gc
import math
import time
import warnings

import jax.monitoring
import numpy as np

from benchmarks import frameworks


@dataclasses.dataclass
class Settings:
    windows: int = 10
    window: float = 0.08  # seconds
    patience: float = 25.0  # seconds for one contestant on one row
    fewest: int = 3  # windows taken even without patience left


@dataclasses.dataclass
class Contestant:
    """One framework on one row: how to run it, and what was found."""

    name: str
    loop: object  # of `benchmarks.frameworks`
    operation: str
    units: int  # steps or calls in one repetition
    repeats: int = 1
    spent: float = 0.0
    seconds: list[float] = dataclasses.field(default_factory=list)  # per unit, of each window
    results: list[float] = dataclasses.field(default_factory=list)  # of the first repetitions

    def window(self):
        """Run one window; return its seconds."""
        time.sleep(0.01)  # lets worker threads of the one before come to rest
        run = getattr(self.loop, self.operation)
        start = time.perf_counter()
        results = run(self.repeats)
        seconds = time.perf_counter() - start
        self.spent += seconds
        for one in results[: max(0, _COMPARED - len(self.results))]:
            self.results.append(float(np.abs(np.asarray(one, "float64")).mean()))
        return seconds

    def record(self, seconds):
        self.seconds.append(seconds / self.repeats / self.units)

    def done(self, settings):
        """Whether its patience is spent."""
        return bool(self.seconds) and (
            self.seconds[0] * self.repeats * self.units > settings.patience
            or (self.spent > settings.patience and len(self.seconds) >= settings.fewest)
        )

    def summary(self):
        low, median, high = (float(q) * 1e6 for q in np.percentile(self.seconds, [25, 50, 75]))
        return {
            "median_us": median, "min_us": min(self.seconds) * 1e6, "quartiles_us": [low, high],
            "windows": len(self.seconds), "repeats": self.repeats, "units": self.units,
            "options": getattr(self.loop, "options", {}), "results": self.results,
        }  # fmt: skip


_COMPARED = 8  # repetitions
_compiling = [0.0]


def _note_compile(event, seconds, **_):
    if event.startswith("/jax/core/compile/"):
        _compiling[0] += seconds


jax.monitoring.register_event_duration_secs_listener(_note_compile)


@contextlib.contextmanager
def compile_time():
    """Yield a list that afterwards holds the seconds JAX spent on tracing and compiling."""
    before, found = _compiling[0], []
    yield found
    found.append(_compiling[0] - before)


def contestants(row, names):
    """Return the contestants of one row, ready to run."""
    units = 1 if row.operation in frameworks.BATCH_OPERATIONS else row.workload.steps
    makers = {name: frameworks.find(name, row.workload, row.operation) for name in names}
    return [
        Contestant(name, make(row.workload), row.operation, units)
        for name, make in makers.items()
        if make is not None
    ]


def prepare(one, settings):
    """Compile, and find how many repetitions fill a window."""
    with compile_time() as compiled:
        seconds = one.window()
    seconds -= compiled[0]
    if seconds > settings.patience:  # so slow that this is its one window
        one.record(seconds)
        return
    while seconds < settings.window:
        seconds = one.window()
        if seconds < settings.window:
            wanted = math.ceil(one.repeats * 1.2 * settings.window / seconds)
            one.repeats = min(wanted, 20 * one.repeats)
    one.spent = 0.0


def run_row(row, names, settings, say=lambda text: None):
    """Measure one row; return its results as a dict that can be kept as JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        racing = contestants(row, names)
        for one in racing:
            say(f"compiling: {one.name}")
            prepare(one, settings)
        gc.collect()  # what building has left is nobody's to clean up
        for turn in range(settings.windows):
            say(f"round {turn + 1} of {settings.windows}")
            for one in racing[turn % len(racing) :] + racing[: turn % len(racing)]:
                if not one.done(settings):
                    one.record(one.window())
    return {
        "title": row.title,
        "operation": row.operation,
        "sizes": dataclasses.asdict(row.workload),
        "steps": row.workload.steps,
        "contestants": {one.name: one.summary() for one in racing},
        "differ": differences(racing, row.workload.tolerance),
    }


def differences(racing, tolerance):
    """Return who computed something else, from the repetitions that both have done.

    The reference is a hand-written loop where there is one, else the first contestant. Rounding
    differs, and training makes differences grow: the tolerance grows with the repetitions.
    """
    reference = next((one for one in racing if one.name in frameworks.BY_HAND), racing[0])
    found = {}
    for one in racing:
        n = min(len(one.results), len(reference.results))
        mine, theirs = np.array(one.results[:n]), np.array(reference.results[:n])
        scale = np.maximum(np.abs(theirs), 0.1 * np.abs(theirs[0]))
        error = np.max(np.abs(mine - theirs) / scale / np.arange(1, n + 1))
        if not error <= tolerance:
            found[one.name] = f"off by {error:.1e} relative to {reference.name}"
    return found
