"""The bars that stepfit is held to, each checked against the results of a run.

A bar is a ratio of two figures of the same run: how often another's time fits into stepfit's, or
stepfit's share of another's time or memory.
"""

import dataclasses

from benchmarks.frameworks import BY_HAND

# Against Keras's default fit, evaluate and predict: at least so many times as fast.
KERAS = {"a": 35, "a-1000": 15, "a-evaluate": 40, "a-predict": 40, "b-32": 2.5, "b-128": 1.5,
         "c": 3, "d": 25, "e": 1.8, "f": 1.3}  # fmt: skip
KERAS_LAYERS = 1  # in rows of single layers
# Against the faster of the hand-written loop and scan: at most this share of its time.
HAND = {"a": 1.5, "a-1000": 1.5, "a-evaluate": 1.5, "a-predict": 1.5, "b-32": 1.1, "b-128": 1.1,
        "c": 1 / 2, "d": 1 / 15, "e": 1.1, "f": 1.1}  # fmt: skip
IMPORT = 1.3  # times import jax
WARM = 0.5  # times Keras's first step
THROUGHPUT = 0.95  # of hand-written JAX's, on an accelerator


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar: `found` is to be at least `wanted`, or at most that."""

    what: str
    at_least: bool
    wanted: float
    found: float

    @property
    def met(self):
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted


def check(results):
    """Return every bar that the results say something about."""
    rows = results["rows"]
    bars = _gpu(rows) if results["accelerator"] else [*_against_keras(rows), *_by_hand(rows)]
    return [*bars, *_startup(results.get("startup", {})), *_memory(results.get("memory", {}))]


def microseconds(row, name):
    """Return a contestant's median, or None where it did not take part."""
    found = row["contestants"].get(name)
    return found and found["median_us"]


def best_by_hand(row):
    """Return the name of the faster of loop and scan, or None."""
    names = [name for name in BY_HAND if name in row["contestants"]]
    return min(names, key=lambda name: microseconds(row, name), default=None)


def _against_keras(rows):
    for name, row in rows.items():
        ours, keras = microseconds(row, "stepfit"), microseconds(row, "keras")
        wanted = KERAS_LAYERS if name.startswith("layers-") else KERAS.get(name)
        if ours and keras and wanted:
            yield Bar(f"{name}: speed, of Keras's default", True, wanted, keras / ours)
    for name, row in rows.items():
        ours, best = microseconds(row, "stepfit"), microseconds(row, "keras best spe")
        if ours and best:
            yield Bar(f"{name}: speed, of Keras's best steps_per_execution", True, 1, best / ours)


def _by_hand(rows):
    for name, row in rows.items():
        ours, best = microseconds(row, "stepfit"), best_by_hand(row)
        if ours and best and name in HAND:
            share = ours / microseconds(row, best)
            yield Bar(f"{name}: time, of the hand-written {best}", False, HAND[name], share)


def _startup(startup):
    if startup:
        share = startup["import"]["stepfit"] / startup["import"]["jax"]
        yield Bar("import stepfit: time, of import jax", False, IMPORT, share)
    for name, found in startup.items():
        if name != "import":
            share = found["stepfit warm"] / found["keras cold"]
            yield Bar(f"{name}: first step with a warm cache, of Keras's", False, WARM, share)


def _memory(memory):
    for name, found in memory.items():
        share = found["stepfit"] / found["keras"]
        yield Bar(f"{name}: peak memory, of Keras's", False, 1, share)


def _gpu(rows):
    for name, row in rows.items():
        ours, best = microseconds(row, "stepfit"), best_by_hand(row)
        if ours and best:
            share = microseconds(row, best) / ours
            yield Bar(f"{name}: throughput, of the hand-written {best}", True, THROUGHPUT, share)
