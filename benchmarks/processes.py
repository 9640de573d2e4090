"""What needs fresh processes: import time, time to the first step, and peak memory.

Every figure is the median of several processes, of all contestants in turns.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import workloads

ROOT = pathlib.Path(__file__).parent.parent
# stepfit loads its names when they are first used, so both are told: the import, with the jax that
# it needs, and what a first model uses.
IMPORTS = {
    "jax": "import jax",
    "stepfit": "import jax, stepfit",
    "stepfit in use": "from stepfit import Sequential, callbacks, layers, losses, optimizers",
    "keras": "import keras",
}
_TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def run(arguments, **environment):
    """Run Python with these arguments; return what it printed last, and when it was started."""
    env = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    for name in ("JAX_COMPILATION_CACHE_DIR", "STEPFIT_COMPILATION_CACHE"):
        env.pop(name, None)
    started = time.time()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**env, **environment}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]), started


def import_times(times):
    """Return the seconds that importing each package takes."""
    found = {name: [] for name in IMPORTS}
    for _ in range(times):
        for name, seconds in found.items():
            seconds.append(run(["-c", _TIMED.format(IMPORTS[name])])[0])
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def first_steps(row, times):
    """Return the seconds from the start of a process to the end of its first training step.

    "cold" has an empty compilation cache, "warm" one that the same program has filled. For Keras
    and for plain JAX, which by default have no such cache, "cold" is without one.
    """
    found = {}

    def one(name, contestant, **environment):
        child = ["-m", "benchmarks.child", "first-step", contestant, row]
        result, started = run(child, **environment)
        found.setdefault(name, []).append(result["done"] - started)

    with tempfile.TemporaryDirectory() as folder:
        for turn in range(times):
            ours = {"STEPFIT_COMPILATION_CACHE": os.path.join(folder, f"stepfit{turn}")}
            one("stepfit cold", "stepfit", **ours)
            one("stepfit warm", "stepfit", **ours)
            for contestant in ("keras", "jax loop"):
                caching = {
                    "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, contestant),
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                }
                if not turn:
                    one("filling the cache", contestant, **caching)
                one(f"{contestant} cold", contestant)
                one(f"{contestant} warm", contestant, **caching)
    del found["filling the cache"]
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def startup(times, say):
    say("imports")
    found = {"import": import_times(times)}
    for row in workloads.STARTUP:
        say(f"first step of {row}")
        found[row] = first_steps(row, times)
    return found


def memory(times, say, rows=tuple(workloads.MEMORY)):
    """Return the bytes that each contestant needs at its peak beyond what its imports took."""
    found = {}
    for row in rows:
        say(f"memory of {row}")
        found[row] = {name: [] for name in ("stepfit", "keras", "jax loop", "jax scan")}
        for _ in range(1 if row == "d" else times):  # a step of d takes others half a minute
            for name, seen in found[row].items():
                child = ["-m", "benchmarks.child", "memory", name, row]
                result, _ = run(child, STEPFIT_COMPILATION_CACHE="off")
                seen.append(result["bytes"])
        found[row] = {name: statistics.median(seen) for name, seen in found[row].items()}
    return found
