"""Where the time of a step goes: ``python -m benchmarks.profile [row ...]``.

For each row of the benchmark, stepfit alone:

- the time of a step within the call (`fit`, `evaluate`, `predict`), and of its executable when it
  is called again and again with batches that lie there already; the rest is what the call does;
- how much of the kernels' time goes into matrix products and convolutions, by JAX's profiler;
- the operations of a step, and how many a second the executable does, beside what a product of
  1024 x 1024 matrices reaches in the same run, on all cores and on one.

Figures are medians of windows in turns. The profiler makes small kernels look longer than they are.
"""

import collections
import pathlib
import re
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks import frameworks, report, workloads
from stepfit.training import flops

ROWS = ("a", "a-1000", "a-evaluate", "a-predict", "b-32", "b-128", "c", "d", "e", "f")
KINDS = {"evaluate": "test", "predict": "predict"}  # operation -> kind of runner; else "train"
TURNS = 7
SECONDS = 0.2  # at least, per window
_INSTRUCTION = re.compile(r"^ *(?:ROOT )?%?([\w.\-]+) = .*? ([\w\-]+)\((.*)$", re.M)
_BODY = re.compile(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", re.M | re.S)
_NO_WORK = ("while", "call", "conditional", "parameter", "tuple", "get-tuple-element", "constant")


class Alone:
    """An executable of a model, called with full buffers that nobody fills again."""

    def __init__(self, runner):
        self.program = max(runner.programs, key=lambda program: program.capacity)
        self.slot = self.program.ring.take()
        self.slot.control[2] = self.program.capacity
        self.values = [jnp.array(value) for value in runner.cell.values]

    def run(self, times):
        """Run so many full chunks, one after the other."""
        execute, done = self.program.executable(), None
        for _ in range(times):
            parts = self.program.parts(self.values)
            _, done, carried = execute(*parts, self.slot.on_device(), [])
            for place, value in zip(self.program.carried, carried, strict=True):
                self.values[place] = value
        jax.block_until_ready((done, self.values))

    @property
    def flops(self):
        """Floating-point operations of one step, as rewritten."""
        return flops.count(self.program._closed)

    def share_of_products(self):
        """Return which part of its kernels' time goes into products, or None if nothing is seen."""
        kinds = kinds_of_kernels(self.program.executable().as_text())
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                self.run(2)
            seconds = collections.Counter()
            for path in pathlib.Path(folder).rglob("*.xplane.pb"):
                for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                    for event in (event for line in plane.lines for event in line.events):
                        seconds[kinds.get(event.name)] += event.duration_ns
        del seconds[None]
        return seconds["product"] / seconds.total() if seconds else None


def kinds_of_kernels(text):
    """Return name -> "product" or "other" for the instructions of a compiled program that work."""
    bodies = dict(_BODY.findall(text))
    multiplies = {name for name, body in bodies.items() if re.search(r" (dot|convolution)\(", body)}
    kinds = {}
    for name, opcode, rest in _INSTRUCTION.findall(text):
        called = re.search(r"calls=%?([\w.\-]+)", rest)
        fused = opcode == "fusion" and called is not None and called.group(1) in multiplies
        if fused or opcode in ("dot", "convolution"):
            kinds[name] = "product"
        elif opcode not in _NO_WORK:
            kinds[name] = "other"
    return kinds


def window(function, seconds):
    """Return how often `function` must be called for a window of so many seconds."""
    function(1)
    begin = time.perf_counter()
    function(1)
    return max(1, round(seconds / (time.perf_counter() - begin)))


def medians(functions, turns=TURNS, seconds=SECONDS):
    """Return the seconds that each of some functions takes for one of its times, in turns."""
    times = [window(function, seconds) for function in functions]
    found = [[] for _ in functions]
    for _ in range(turns):
        for function, number, taken in zip(functions, times, found, strict=True):
            begin = time.perf_counter()
            function(number)
            taken.append((time.perf_counter() - begin) / number)
    return [statistics.median(taken) for taken in found]


def measure(row, turns=TURNS, seconds=SECONDS):
    """Return the figures of one row of the benchmark."""
    workload = row.workload
    loop = frameworks.find("stepfit", workload, row.operation)(workload)
    call = getattr(loop, row.operation)
    call(2)
    alone = Alone(loop.model._runners[KINDS.get(row.operation, "train")])
    whole, chunk = medians([call, alone.run], turns, seconds)
    step = chunk / alone.program.capacity
    return {
        "call": whole / workload.steps, "alone": step, "products": alone.share_of_products(),
        "flops": alone.flops, "rate": alone.flops / step,
    }  # fmt: skip


def peak(size=1024):
    """Return the operations per second of a product of float32 matrices."""

    @jax.jit
    def multiply(x, w):
        return lax.fori_loop(0, 8, lambda _, x: x @ w, x)

    x = jnp.ones((size, size)) / size
    run = lambda times: jax.block_until_ready([multiply(x, x) for _ in range(times)])
    return 2 * size**3 * 8 / medians([run])[0]


def main(names):
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"{unknown} is not known; choose from {', '.join(ROWS)}")
    print(f"1024 x 1024 products: {peak() / 1e9:.0f} GFLOP/s\n")
    print("| row | a step of the call | of the executable | products | MFLOP | GFLOP/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in names or ROWS:
        found = measure(workloads.FULL[name])
        share = "-" if found["products"] is None else f"{found['products']:.0%}"
        print(
            f"| {workloads.FULL[name].title} | {report.duration(found['call'] * 1e6)} "
            f"| {report.duration(found['alone'] * 1e6)} | {share} | {found['flops'] / 1e6:.3g} "
            f"| {found['rate'] / 1e9:.3g} |", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
