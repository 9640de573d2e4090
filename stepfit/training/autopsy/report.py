"""What is told of a step that went wrong."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Autopsy:
    """Where a non-finite loss, or a non-finite weight, came from.

    Attributes:
        epoch, batch: the first step that went wrong, counted from 0.
        log: name of the log that was not finite, or None: the weights were not finite after it.
        value: what that log was.
        cause: "data", "weights", "forward", "gradient", "update", or "unknown".
        place: the input ("x", "y[1]", "sample_weight") or the path of the weight that held it.
        rows: rows of the batch that it was in, the first few.
        samples: where these rows are in the arrays that `fit` was given, if it was.
        layer: path of the layer, or name of the loss or optimizer, that met it first.
        operation: name of the operation there.
        source: "file:line: code" of the user's code that has that operation.
        detail: what is known beside that, in words.
        fix: what to do.
        kept: whether the model has the weights from before that step.
    """

    epoch: int
    batch: int
    log: str | None
    value: float | None
    cause: str
    place: str | None = None
    rows: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()
    layer: str | None = None
    operation: str | None = None
    source: str | None = None
    detail: str | None = None
    fix: str = "lower the learning rate, or look for NaN in the data"
    kept: bool = False

    def __str__(self):
        expected = f"a finite {self.log}" if self.log else "finite weights after the step"
        found = f"{self.value!r}" if self.log else "NaN or infinities, though the loss was finite"
        lines = [
            f"epoch {self.epoch + 1}, batch {self.batch}: expected {expected}, found {found}; "
            f"{self.fix}.",
            f"  cause: {self._cause()}",
        ]
        if self.operation:
            lines.append(f"  first met: {self._operation()}")
        if self.source:
            lines.append(f"  code: {self.source}")
        if self.kept:
            lines.append("  model: as it was before that batch")
        return "\n".join(lines)

    def _cause(self):
        texts = {
            "data": f"the data: {self.place} {self._rows()}",
            "weights": f"the weights: {self.place} was not finite before the step",
            "forward": "the forward pass",
            "gradient": "the gradient; the forward pass was finite",
            "update": "the optimizer's update; the gradient was finite",
            "unknown": "not found",
        }
        text = texts[self.cause]
        return f"{text}; {self.detail}" if self.detail else text

    def _rows(self):
        text = "is not finite"
        if self.rows:
            text += f" in row {_listed(self.rows)} of the batch"
        if self.samples:
            text += f", sample {_listed(self.samples)}"
        return text

    def _operation(self):
        where = f" in {self.layer!r}" if self.layer else ""
        rows = ""
        if self.rows and self.cause != "data":
            rows = f", for row {_listed(self.rows)} of the batch"
            rows += f" (sample {_listed(self.samples)})" if self.samples else ""
        return f"operation {self.operation!r}{where}{rows}"


def _listed(numbers):
    shown = ", ".join(map(str, numbers[:3]))
    return shown + (", ..." if len(numbers) > 3 else "")
