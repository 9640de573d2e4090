"""What a training would need on many devices, found without them.

The script runs as it is, up to its first `fit`, on simulated devices. There the step is traced,
lowered and compiled for the mesh, as for the real one; nothing is put on the devices, and nothing
is trained. The compiler says how much memory each device needs; the compiled program says what the
devices tell one another.
"""

import collections
import contextlib
import dataclasses
import functools
import re
from typing import Any

import numpy as np

from stepfit.core import deferral, dtypes, placement
from stepfit.training import flops
from stepfit.training.trainer import Trainer

_kept = contextlib.ExitStack()  # what stays in force until the process ends
_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_CALL = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"\b([a-z]+\d+(?:e\d+m\d+\w*)?|pred)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one step needs.

    Attributes:
        mesh: ``{axis: size}``.
        distribution: name of the class.
        batch: shapes and dtypes of a whole batch.
        values_bytes: weights, optimizer and metrics, on each device.
        all_values_bytes: the same on one device alone.
        batch_bytes: batches and results that lie on each device at once.
        temporary_bytes: what the step needs besides, on each device.
        flops: of one step, on all devices together.
        collectives: kind -> ``(how many, bytes of their results on each device)``, in one step.
        layouts: path -> layout, of the variables that are cut up.
    """

    mesh: dict[str, int]
    distribution: str
    batch: str
    values_bytes: int
    all_values_bytes: int
    batch_bytes: int
    temporary_bytes: int | None
    flops: int
    collectives: dict[str, tuple[int, int]]
    layouts: dict[str, str]

    @property
    def devices(self) -> int:
        """Number of devices."""
        return int(np.prod(list(self.mesh.values())))

    def __str__(self):
        axes = " x ".join(f"{size} {name}" for name, size in self.mesh.items())
        one, all_ = _size(self.values_bytes), _size(self.all_values_bytes)
        lines = [
            f"plan for {self.devices} devices ({axes}), {self.distribution}; nothing was trained",
            f"  batch: {self.batch}",
            "  memory of each device:",
            f"    weights, optimizer, metrics: {one} (of {all_})",
            f"    batches and results: {_size(self.batch_bytes)}",
        ]
        if self.temporary_bytes is not None:
            lines.append(f"    while a step runs: {_size(self.temporary_bytes)}")
        each = self.flops // self.devices
        lines.append(f"  a step: {self.flops:.3g} FLOPs, {each:.3g} on each device")
        lines.append("  devices tell one another, in each step:")
        for kind, (count, size) in sorted(self.collectives.items()):
            lines.append(f"    {count} {kind}, {_size(size)} on each device")
        if not self.collectives:
            lines.append("    nothing")
        lines.append(f"  variables that are cut up: {len(self.layouts)}")
        shown = list(self.layouts.items())[:12]
        lines += [f"    {path}: {layout}" for path, layout in shown]
        if len(self.layouts) > len(shown):
            lines.append(f"    and {len(self.layouts) - len(shown)} more")
        return "\n".join(lines)


def plan(model: Any, batch: Any) -> Plan:
    """Return the `Plan` of a model's training step, for its distribution.

    Args:
        model: compiled, and made ready for the batch.
        batch: shapes and dtypes.
    """
    runner = model._runner("train")
    distribution = runner.distribution()
    program = runner.program(batch)
    compiled = program.executable()
    memory = compiled.memory_analysis()
    variables = program.layout.variables
    layouts = {}
    values = 0
    for v in variables:
        sharding = distribution.sharding_of(v)
        part = sharding.shard_shape(v.shape)
        values += int(np.prod(part)) * dtypes.jax_dtype(v.dtype).itemsize
        if part != v.shape:
            layouts[v.path] = str(tuple(sharding.spec))
    arguments = getattr(memory, "argument_size_in_bytes", values)
    results = getattr(memory, "output_size_in_bytes", 0) - getattr(memory, "alias_size_in_bytes", 0)
    mesh = distribution.device_mesh
    return Plan(
        mesh=dict(zip(mesh.axis_names, map(int, mesh.shape), strict=True)),
        distribution=type(distribution).__name__,
        batch=", ".join(f"{tuple(s.shape)} {s.dtype}" for s in program.specs),
        values_bytes=values,
        all_values_bytes=sum(v.size * dtypes.jax_dtype(v.dtype).itemsize for v in variables),
        batch_bytes=max(0, arguments - values) + max(0, results),
        temporary_bytes=getattr(memory, "temp_size_in_bytes", None),
        flops=flops.count(program.traced.original),
        collectives=collectives(compiled.as_text()),
        layouts=layouts,
    )


def collectives(text):
    """Return ``{kind: (how many, bytes of their results)}`` of a compiled program's text.

    >>> collectives("  %a = f32[4,2]{1,0} all-reduce(f32[4,2]{1,0} %b), channel_id=1")
    {'all-reduce': (1, 32)}
    """
    found: dict[str, list[int]] = collections.defaultdict(list)
    for line in text.splitlines():
        call = _CALL.search(line)
        if call:
            found[call[2]].append(sum(_bytes(*array) for array in _ARRAY.findall(call[1])))
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def _bytes(kind, shape):
    bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
    return int(np.prod([int(n) for n in shape.split(",") if n], dtype=np.int64)) * bits // 8


def _size(number):
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"


def begin():
    """From now on, put nothing on several devices: what is made is only looked at."""
    placement.plan_only()
    _kept.enter_context(deferral.deferring(finish=False))


def stop_at_fit(default):
    """Have the first `fit` print its plan and end the program.

    Args:
        default: function that returns the distribution of a script that sets none.
    """
    make_ready = Trainer._ready

    @functools.wraps(make_ready)
    def planned(self, kind, batch):
        self._distribution = self._runner(kind).distribution() or default()
        make_ready(self, kind, batch)
        if kind == "train":
            print(plan(self, batch))
            raise SystemExit(0)

    Trainer._ready = planned  # type: ignore[method-assign]
