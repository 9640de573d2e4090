"""What `fit(dry_run=True)` returns."""

import dataclasses

from stepfit.training.report import count, mode


@dataclasses.dataclass(frozen=True)
class Form:
    """Batches of one form, and the program for them.

    Attributes:
        batch: shapes and dtypes of a batch.
        fused: whether many steps run in one dispatch.
        why: the reason.
        most_steps: most steps that one dispatch would have.
        timed: whether it is their time, already measured, that allows no more.
        flops: floating-point operations of one step, or None where it is not compiled.
        program_bytes: memory that the program needs for its intermediate results, or None.
        buffer_bytes: memory of one chunk of batches and of the logs of its steps.
        trace_seconds, compile_seconds: what it took to make the program.
        ready: whether it was there before.
    """

    batch: str
    fused: bool
    why: str
    most_steps: int
    timed: bool
    flops: int | None
    program_bytes: int | None
    buffer_bytes: int
    trace_seconds: float
    compile_seconds: float
    ready: bool

    def __str__(self):
        text = f"batch {self.batch}: "
        if self.flops is None:
            return text + self.why
        text += f"{mode(self)}; {_flops(self.flops)} per step"
        if self.program_bytes is not None:
            text += f"; {_size(self.program_bytes)} for the program"
        return text + f", {_size(self.buffer_bytes)} for each chunk of batches"


@dataclasses.dataclass(frozen=True)
class DryRun:
    """What a `fit` would do; nothing was trained.

    Attributes:
        model: name of the model.
        data: what the training data is.
        samples: rows in one pass over it, or None where that is not known.
        epochs: how many would be run.
        steps_per_epoch: batches in an epoch, or None.
        validation_steps: batches of the validation, or None.
        forms: a `Form` for each form of training batch that is known of.
        validation_forms: the same for the validation.
        parameters, trainable_parameters: how many numbers the weights are.
        weight_bytes, optimizer_bytes, metric_bytes: their memory.
        data_bytes: memory on the device for data that stays there.
        peak_bytes: about what training needs of the device's memory, all in all, or None.
        devices: names of the devices used.
        shardings: path of a Variable -> how it is spread, for those on several devices.
        one_by_one: why steps would run one at a time, or None.
        callbacks: class name of each callback -> when it is called.
        notes: what else there is to know.
    """

    model: str
    data: str
    samples: int | None
    epochs: int
    steps_per_epoch: int | None
    validation_steps: int | None
    forms: tuple[Form, ...]
    validation_forms: tuple[Form, ...]
    parameters: int
    trainable_parameters: int
    weight_bytes: int
    optimizer_bytes: int
    metric_bytes: int
    data_bytes: int
    peak_bytes: int | None
    devices: tuple[str, ...]
    shardings: dict[str, str]
    one_by_one: str | None
    callbacks: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def flops(self) -> int | None:
        """Floating-point operations of one step, on a full batch."""
        return self.forms[0].flops

    @property
    def compile_seconds(self) -> float:
        """What it took to trace and compile what was not there before."""
        forms = (*self.forms, *self.validation_forms)
        return sum(f.trace_seconds + f.compile_seconds for f in forms if not f.ready)

    def _compiling(self):
        """Return in words what was compiled."""
        forms = [f for f in (*self.forms, *self.validation_forms) if f.flops is not None]
        new = sum(not form.ready for form in forms)
        if not forms:
            return "nothing to compile"
        if not new:
            return "everything was compiled before"
        text = f"traced and compiled in {self.compile_seconds:.2f} s"
        return text + ("" if new == len(forms) else f"; {len(forms) - new} of {len(forms)} before")

    def __str__(self):
        steps = _steps(self.steps_per_epoch)
        rows = "" if self.samples is None else f", {self.samples} samples"
        lines = [
            f"dry run of {self.model}: nothing was trained",
            f"  data: {self.data}{rows}; {count(self.epochs, 'epoch')} of {steps}",
            *(f"    {form}" for form in self.forms),
        ]
        if self.validation_forms:
            lines.append(f"  validation: {_steps(self.validation_steps)}")
            lines += [f"    {form}" for form in self.validation_forms]
        if self.one_by_one:
            lines.append(f"  one step at a time: {self.one_by_one}")
        lines.append(
            f"  parameters: {self.parameters:,}, of them {self.trainable_parameters:,} trainable"
        )
        memory = [
            f"weights {_size(self.weight_bytes)}", f"optimizer {_size(self.optimizer_bytes)}",
            f"metrics {_size(self.metric_bytes)}",
        ]  # fmt: skip
        if self.data_bytes:
            memory.append(f"data {_size(self.data_bytes)}")
        if self.peak_bytes is not None:
            memory.append(f"all in all about {_size(self.peak_bytes)}")
        lines.append(f"  memory: {', '.join(memory)}")
        lines.append(f"  devices: {', '.join(self.devices)}")
        lines += [f"    {path}: {how}" for path, how in self.shardings.items()]
        if self.callbacks:
            lines.append("  callbacks:")
            lines += [f"    {name}: {when}" for name, when in self.callbacks]
        lines += [f"  note: {text}" for text in self.notes]
        lines.append(f"  {self._compiling()}")
        return "\n".join(lines)


def _steps(number):
    return "an unknown number of steps" if number is None else count(number, "step")


def _size(number):
    return _short(number, 1024, ("bytes", "KiB", "MiB", "GiB", "TiB"))


def _flops(number):
    return _short(number, 1000, ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"))


def _short(number, base, units):
    index = 0
    while number >= base and index < len(units) - 1:
        number, index = number / base, index + 1
    return f"{number:.3g} {units[index]}" if index else f"{number} {units[0]}"
