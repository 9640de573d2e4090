"""How steps were run, and why: what `Model.execution_report` returns."""

import dataclasses
from collections.abc import Iterator, Mapping

from stepfit.training.engine import SINGLE


@dataclasses.dataclass(frozen=True)
class ProgramReport:
    """How batches of one form are run.

    Attributes:
        batch: shapes and dtypes of a batch.
        fused: whether a chunk of them runs as one loop on the device.
        why: the reason.
        most_steps: most steps that one dispatch has.
        timed: whether it is their time that allows no more.
        steps: how many ran in the last pass.
        seconds_per_step: measured, the first dispatch left out; None while it is not known.
        trace_seconds, compile_seconds: what it took to make the program.
        rewritten: operations replaced by faster ones for this platform, by kind.
        left: operations that are slow inside a loop on this platform.
        resident: whether the data stays on the device.
    """

    batch: str
    fused: bool
    why: str
    most_steps: int
    timed: bool
    steps: int
    seconds_per_step: float | None
    trace_seconds: float
    compile_seconds: float
    rewritten: dict[str, int]
    left: tuple[str, ...]
    resident: bool

    def __str__(self):
        lines = [f"  batch {self.batch}: {mode(self)}"]
        if self.seconds_per_step is not None:
            lines[0] += f", {_duration(self.seconds_per_step)} per step"
        lines.append(
            f"    traced in {self.trace_seconds:.2f} s, compiled in {self.compile_seconds:.2f} s"
            + ("; the data stays on the device" if self.resident else "")
        )
        if self.rewritten:
            parts = ", ".join(f"{n} {name}" for name, n in sorted(self.rewritten.items()))
            lines.append(f"    rewritten for this platform: {parts}")
        lines += [f"    slow inside a loop here: {text}" for text in self.left]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class StepReport:
    """How one kind of step is run.

    Attributes:
        kind: "train", "test" or "predict".
        eager: whether steps are not compiled.
        why_eager: the reason, or None.
        traces: how often the step was traced.
        programs: a `ProgramReport` for each form of batch.
        one_by_one: why steps ran one at a time in the last pass over data, or None.
        steps, dispatches: in the last pass (one epoch, or one call on a batch).
        data_share: share of that pass in which the device waited for data, or None.
    """

    kind: str
    eager: bool
    why_eager: str | None
    traces: int
    programs: tuple[ProgramReport, ...]
    one_by_one: str | None
    steps: int
    dispatches: int
    data_share: float | None

    def line(self):
        """Return the most important of it in one line."""
        text = f"{self.kind}_step: "
        if self.eager:
            return text + f"step by step, not compiled ({self.why_eager})"
        if not self.programs:
            return text + "traced, not run yet"
        main = max(self.programs, key=lambda program: program.steps)
        text += f"step by step ({self.one_by_one})" if self.one_by_one else mode(main)
        if self.dispatches:
            text += f"; last pass: {count(self.steps, 'step')}"
            text += f" in {count(self.dispatches, 'dispatch', 'es')}"
        if self.data_share is not None:
            text += f", {self.data_share:.0%} of the time spent waiting for data"
        return text

    def __str__(self):
        return "\n".join([self.line(), *map(str, self.programs)])


class ExecutionReport(Mapping[str, StepReport]):
    """How a model's steps were run: a mapping from "train", "test", "predict" to `StepReport`."""

    def __init__(self, steps: dict[str, StepReport]):
        self._steps = steps

    def __getitem__(self, kind: str) -> StepReport:
        return self._steps[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __str__(self):
        return "\n".join(map(str, self._steps.values())) or "no step was run yet"

    __repr__ = __str__


def report_of(runner):
    """Return the `StepReport` of a runner."""
    whole = runner.seconds["all"]
    return StepReport(
        kind=runner.kind, eager=runner.eager, why_eager=runner.why_eager, traces=runner.traces,
        programs=tuple(_program_report(runner, program) for program in runner.programs),
        one_by_one=runner.one_by_one,
        steps=sum(length * times for length, times in runner.dispatched.items()),
        dispatches=sum(runner.dispatched.values()),
        data_share=runner.seconds["data"] / whole if whole else None,
    )  # fmt: skip


def _program_report(runner, program):
    # A call on a single batch has a program of its own; the others run as they did.
    one_by_one = None if runner.one_by_one == SINGLE else runner.one_by_one
    most, timed = runner.longest(program, one_by_one)
    return ProgramReport(
        batch=", ".join(f"{tuple(s.shape)} {s.dtype}" for s in program.specs),
        fused=program.fused, why=program.why, most_steps=most, timed=timed,
        steps=runner.ran.get(program, 0),
        seconds_per_step=program.measured_seconds, trace_seconds=program.trace_seconds,
        compile_seconds=program.compile_seconds, rewritten=dict(program.rewrites.rewritten),
        left=tuple(program.rewrites.left), resident=bool(program.resident),
    )  # fmt: skip


def mode(program):
    """Return in words how a `ProgramReport`, or the `Form` of a dry run, runs."""
    if not program.fused:
        return f"step by step ({program.why})"
    about, speed = ("about ", " at this speed") if program.timed else ("", "")
    if program.most_steps == 1:
        return f"one step per dispatch{speed}"
    return f"fused, up to {about}{program.most_steps} steps per dispatch{speed}"


def count(number, what, plural="s"):
    """Return "1 step", "2 steps"."""
    return f"{number} {what}{'' if number == 1 else plural}"


def _duration(seconds):
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"
