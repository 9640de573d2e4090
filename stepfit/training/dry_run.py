"""`fit(dry_run=True)`: everything up to the first step, and a report in place of it.

Whatever `fit` would use up is lent for the time of a dry run: seeds that were drawn for the order
of the data are given back, a one-shot iterator's first batch is kept for its next reader, and the
random generators of Python, NumPy and torch are as they were. A model that had no weights has them
afterwards: those that `fit` would have given it.
"""

import random
import sys
from typing import Any

import jax
import numpy as np

from stepfit.callbacks import CallbackList, TerminateOnNaN
from stepfit.core import seeding
from stepfit.training import arguments, flops
from stepfit.training.buffers import bytes_of
from stepfit.training.data import ArraySource, DataSource
from stepfit.training.dry_run_report import DryRun, Form

_RING = 3  # buffers, about, that chunks travel in
_MOST_KEPT = 16  # iterators whose first batch is kept

_kept: dict[int, tuple[Any, list]] = {}  # id of an iterator -> itself, what was read of it


class _Lent:
    """A one-shot iterator that yields again what a dry run has read of it.

    Args:
        iterator: the user's.
        first: list of what comes first.
        notes: whether to note what is read, to give it back.
    """

    def __init__(self, iterator, first, notes):
        self.lent, self._first, self._notes = iterator, first, notes
        self._read: list = []

    def __iter__(self):
        return self

    def __next__(self):
        item = self._first.pop(0) if self._first else next(self.lent)
        if self._notes:
            self._read.append(item)
        return item

    def give_back(self):
        """Keep for the next reader what was read."""
        _kept[id(self.lent)] = self.lent, self._read + self._first
        while len(_kept) > _MOST_KEPT:
            del _kept[next(iter(_kept))]


class DryRunner:
    """One dry run of a model; a context manager.

    Args:
        model: the `Trainer`.
        wanted: whether it is one: else nothing is done.
    """

    def __init__(self, model, wanted):
        self._model, self.wanted = model, wanted
        self._lent: list[_Lent] = []
        self._positions: list = []  # (iterator, its state)
        self._seed: int | None = None
        self._random: Any = None

    def __enter__(self):
        if self.wanted:
            self._history = self._model.history
            self._random = random.getstate(), np.random.get_state()
            torch = sys.modules.get("torch")
            self._torch = None if torch is None else torch.get_rng_state()
        return self

    def __exit__(self, *exc):
        if not self.wanted:
            return
        if self._model.history is not self._history:
            self._model.history = self._history
        if self._seed is not None:
            seeding.give_back(self._seed)
        for iterator, state in self._positions:
            iterator.set_state(state)
        for lent in self._lent:
            lent.give_back()
        if not self._lent:  # what these drew belongs to the batch that is kept
            random.setstate(self._random[0])
            np.random.set_state(self._random[1])
            if self._torch is not None:
                sys.modules["torch"].set_rng_state(self._torch)

    def data(self, data):
        """Return data to read from: as it is, or a one-shot iterator that is lent."""
        if not hasattr(data, "__next__"):
            return data
        if hasattr(data, "get_state") and hasattr(data, "set_state"):
            if self.wanted:
                self._positions.append((data, data.get_state()))
            return data
        first = _kept.pop(id(data), (data, []))[1]
        if not self.wanted:
            return _Lent(data, first, notes=False) if first else data
        self._lent.append(_Lent(data, first, notes=True))
        return self._lent[-1]

    def seed(self, x, shuffle):
        """Return the seed that the order of the data is to have; None: it is drawn."""
        if not self.wanted or not shuffle or isinstance(x, DataSource):
            return None
        self._seed = seeding.draw_seed()
        return self._seed

    def hooks(self, callbacks, verbose):
        """Return the callbacks as they would be called, told of nothing."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        shown = arguments.verbosity(verbose) != 0
        return CallbackList(callbacks, add_history=True, add_progbar=shown)

    # -- the report ------------------------------------------------------------------------------

    def report(self, source, validation, hooks, epochs):
        """Compile everything; returns the `DryRun`."""
        model, runner = self._model, self._model._runner("train")
        batches = hooks.of_batches("train")
        one_by_one = None if runner.eager else runner.why_single(batches.why_strict())
        forms, programs = _forms(runner, source, one_by_one)
        validation_forms: tuple[Form, ...] = ()
        if validation:
            of_test = model._runner("test")
            why = of_test.why_single(hooks.of_batches("test").why_strict())
            validation_forms, _ = _forms(of_test, validation, why)
        weights = [*model.trainable_variables, *model.non_trainable_variables]
        parts = {name: _unique(part) for name, part in runner.layout().parts.items()}
        metrics = [v for m in model._all_metrics() for v in m.variables]
        resident = runner.resident(source) if isinstance(source, ArraySource) else ()
        sizes = {
            "weight_bytes": _bytes(_unique(weights)),
            "optimizer_bytes": _bytes(parts["optimizer_variables"]),
            "metric_bytes": _bytes(_unique(metrics)),
            "data_bytes": sum(x.nbytes for x in resident),
        }
        held = [v.peek() for v in _unique([*weights, *parts["optimizer_variables"], *metrics])]
        peak = sum(sizes.values()) + max(
            ((form.program_bytes or 0) + _RING * form.buffer_bytes for form in forms), default=0
        )
        together = any(form.most_steps > 1 for form in forms)
        return DryRun(
            model=model._where(), data=source.description, samples=source.num_samples,
            epochs=epochs, steps_per_epoch=source.num_batches,
            validation_steps=validation.num_batches if validation else None,
            forms=forms, validation_forms=validation_forms,
            parameters=_numbers(_unique(model.weights)),
            trainable_parameters=_numbers(_unique(model.trainable_variables)),
            **sizes, peak_bytes=peak if programs else None,
            devices=tuple(sorted({str(d) for x in held for d in x.devices()})),
            shardings=_shardings(_unique([*weights, *parts["optimizer_variables"]])),
            one_by_one=one_by_one,
            callbacks=tuple(
                (type(c).__name__, _when(batches, c, together)) for c in hooks.callbacks
            ),
            notes=tuple(_notes(source)),
        )  # fmt: skip


def _forms(runner, source, one_by_one):
    """Return the forms of a source's batches, and their programs.

    Args:
        runner: the `Runner`.
        source: the `DataSource`.
        one_by_one: why steps would run one at a time, or None.
    """
    in_memory = isinstance(source, ArraySource)
    sizes = source.sizes_of(0) if in_memory else [None]
    batches = [source.batch_specs(rows) if in_memory else source.form() for rows in sizes]
    resident = runner.resident(source) if in_memory else ()
    if runner.eager:
        why = f"not compiled ({runner.why_eager})"
        return tuple(Form(_text(b), False, why, 1, False, None, None, 0, 0.0, 0.0, False)
                     for b in batches), ()  # fmt: skip
    programs, ready = [], []
    for rows, batch in zip(sizes, batches, strict=True):
        runner.prepare(batch)
        made = runner.program_of(source, rows, resident) if in_memory else runner.program(batch)
        programs.append(made)
        ready.append(made.ready)
        made.compile()  # in the background, side by side
    forms = []
    for batch, program, was_ready in zip(batches, programs, ready, strict=True):
        memory = program.executable().memory_analysis()
        needed = getattr(memory, "temp_size_in_bytes", None)
        logs = program.capacity * bytes_of(program.log_specs)
        chunk = program.chunk_bytes
        most, timed = runner.longest(program, one_by_one)
        forms.append(Form(
            _text(batch), program.fused, program.why, most, timed,
            flops.count(program.traced.original), needed, chunk + logs,
            program.trace_seconds, program.compile_seconds, was_ready,
        ))  # fmt: skip
    return tuple(forms), tuple(programs)


def _when(batches, callback, together):
    if isinstance(callback, TerminateOnNaN):
        return "at a loss that is not finite" + ("; steps stay fused" if together else "")
    return batches.when(callback, together)


def _text(batch):
    return ", ".join(f"{tuple(x.shape)} {x.dtype}" for x in jax.tree.leaves(batch))


def _notes(source):
    if source.num_batches is None:
        yield "how many batches an epoch has is known once one was read; or pass steps_per_epoch"
    if not isinstance(source, ArraySource):
        yield "only the first batch was looked at; others are compiled as they come"


def _shardings(variables):
    spread = [v for v in variables if len(v.peek().devices()) > 1]
    return {v.path: str(getattr(v.peek().sharding, "spec", v.peek().sharding)) for v in spread}


def _bytes(variables):
    return sum(v.peek().nbytes for v in variables)


def _numbers(variables):
    return sum(v.size for v in variables)


def _unique(variables):
    return list({id(v): v for v in variables}.values())
