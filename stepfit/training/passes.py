"""One pass over a source of batches: the driver between data, engine and callbacks."""

import collections
import math
import time
from typing import Any

from stepfit.core import processes
from stepfit.training.engine import TICK
from stepfit.training.feed import make_feed
from stepfit.training.logs import EagerResult
from stepfit.utils.console import end_line

_IN_FLIGHT = 2  # chunks that are computed, or wait for it, while the next one is filled


class Pass:
    """Runs one kind of step over one epoch of a source.

    Where no callback needs the model between steps, the device is kept busy: callbacks hear of a
    chunk once it is done, while others are under way.

    Args:
        runner: the `Runner`.
        source: the `DataSource`.
        epoch: number of the epoch.
        callbacks: the `CallbackList`.
        interrupts: the `SafeInterrupts` in force.
        stopped: function that says whether to stop.
        collect: function called with the `Result` of each chunk, or None.
        guard: the `Guard` that watches for losses that are not finite, or None.
        more: whether another epoch is to follow.
        meanwhile: function called while the first steps of a new program run, or None.
        progress: the `Progress` of `fit`, which says where to start, or None.
    """

    def __init__(
        self, runner, source, epoch, callbacks, interrupts, stopped, collect=None, guard=None,
        more=False, meanwhile=None, progress=None,
    ):  # fmt: skip
        self._runner, self._source, self._epoch = runner, source, epoch
        self._interrupts, self._stopped, self._collect = interrupts, stopped, collect
        self._guard, self._more, self._meanwhile = guard, more, meanwhile
        self._hooks = callbacks.of_batches(runner.kind)
        self._done_at: float | None = None  # when the last chunk was done, if it was seen
        self._ended = False
        self._progress = progress
        self._next = 0 if progress is None else progress.step  # number of the next step
        self.last = None  # the result that is newest among those settled
        self._most = 1  # steps of the next dispatch, with several processes

    def run(self, ready):
        """Run it.

        Args:
            ready: function of the first batch, called where the model may have changed.

        Returns:
            The last `Result`, or None without any batch.
        """
        begin = time.perf_counter()
        self._runner.begin(self._hooks.why_strict())
        if self._guard is not None:
            self._guard.begin(self._runner, self._source, self._epoch, self._interrupts.shield)
        try:
            if self._runner.eager:
                self._run_eagerly(ready)
            else:
                self._run(ready)
        except BaseException as e:
            end_line()  # of the progress bar, so that a traceback begins below it
            if processes.is_loss(e):
                raise processes.lost(e) from e
            raise
        if self._guard is not None:
            self._guard.end(last=not self._more)
        self._runner.finish(time.perf_counter() - begin)
        return self.last

    def _run(self, ready):
        runner, hooks = self._runner, self._hooks
        feed = make_feed(self._source, self._epoch, runner, self._next)
        if not runner.settled():
            first = feed.peek()
            if first is not None:
                ready(first)
        under_way: collections.deque = collections.deque()
        most = 0 if hooks.strict else _IN_FLIGHT

        result: Any = None
        news = False  # whether the first steps of a new program have run
        together, at_end = runner.with_other_processes(), False
        while together or not self._stopped():
            begin, made = time.perf_counter(), runner.making_seconds
            step, looking = hooks.next_look(self._next)
            if together:
                plan = self._agree(step, looking)
                step, looking = plan.look[0], hooks.by_numbers(plan.look[1])
                if plan.stop is not None:
                    processes.note_stop()
                    self._settle_all(under_way)
                    self._interrupts.receive(plan.stop)
                    self._interrupts.check()
                if plan.over:
                    break
                chunk = feed.next(self._at_most(step, plan.most), math.inf)
            else:
                chunk = feed.next(self._at_most(step), TICK)
            if chunk is None:
                at_end = True
                break
            self._next = chunk.first + chunk.count
            if step != self._next - 1:
                looking = ()
            idle = _idle_since(begin, result)
            making = min(idle, runner.making_seconds - made)
            runner.seconds["data"] += idle - making
            compiles, begin = not chunk.program.compiled, time.perf_counter()
            while not chunk.program.compiled_within(TICK):  # it may take long; Ctrl-C is heard
                if self._interrupts.waiting and not together:
                    break
            if compiles:
                runner.seconds["compile"] += making + _idle_since(begin, result)
            if self._interrupts.waiting and not together:
                self._settle_all(under_way)
                self._interrupts.check()
            hooks.begin(chunk.first, chunk.count)
            known = chunk.program.seconds_per_step is not None
            result = self._interrupts.shield(runner.run, chunk)
            under_way.append((chunk.program, result, looking))
            while under_way and (len(under_way) > most or not known or looking):
                self._settle(*under_way.popleft())
            if known and news:
                begin = time.perf_counter()
                feed.rest()
                if self._meanwhile is not None:
                    self._meanwhile()
                runner.seconds["compile"] += _idle_since(begin, result)
            news = not known
            if together:
                self._most = runner.most_steps(chunk.program)
        if together and at_end:  # are the others at the end, too?
            processes.Plan(done=-self._next - 1).agree(self._where())
            if runner.kind != "train":  # `fit` goes on, and asks at its end
                received = processes.last_stop(self._interrupts.received)
                self._interrupts.receive(received)  # for the end of the block
        if self._more:
            feed.ahead()
        self._settle_all(under_way)

    def _agree(self, step, looking):
        """Return the `Plan` of all processes, given what this one would do."""
        plan = processes.Plan(
            self._most, [None if step is None else int(step), self._hooks.numbers_of(looking)],
            self._interrupts.received, bool(self._stopped()), self._next,
        )  # fmt: skip
        if processes.is_first():
            plan.stop = plan.stop or processes.asked_to_stop()
        elif plan.stop is not None:
            processes.ask_to_stop(plan.stop)
        return plan.agree(self._where())

    def _where(self):
        return f"{self._runner.kind} pass, epoch {self._epoch + 1}"

    def _settle_all(self, under_way):
        while under_way:
            self._settle(*under_way.popleft())

    def _at_most(self, step, agreed=None):
        """Return how many steps a chunk of a program may have, if it is to end after `step`.

        Args:
            step: number of a step, or None.
            agreed: most steps as all processes agreed on, where there are several.
        """
        allowed = self._runner.most_steps
        if agreed is not None:
            allowed = lambda program: self._runner.most_steps(program, agreed)
        if step is None:
            return allowed
        most = step + 1 - self._next
        return lambda program: min(allowed(program), most)

    def _settle(self, program, result, looking):
        """Wait for a chunk, learn how long its steps take, tell the callbacks."""
        waits = not result.is_ready()
        result.wait()
        now = time.perf_counter()
        # It began when it was dispatched, or when the chunk before it was seen to be done.
        begun = result.begun if self._done_at is None else max(result.begun, self._done_at)
        seconds, known = (now - begun) / result.count, program.seconds_per_step
        if waits or known is None or seconds < known:  # else it was done before we looked
            program.note_seconds(seconds, result.count, waits)
        self._done_at = now if waits else None
        self._tell(result, looking)

    def _tell(self, result, looking=()):
        if self._guard is not None:
            result = self._guard.look(result)
            if result is None:  # it came after a bad step
                return
        self.last = result
        if self._progress is not None:
            self._progress.note(result)
        if self._collect is not None:
            self._collect(result)
        if not self._ended:  # by a hook that heard of an earlier chunk
            self._hooks.end(result, looking)
            if self._guard is not None:
                self._guard.act()
            self._ended = self._stopped()

    def _run_eagerly(self, ready):
        first = self._next
        for number, batch in enumerate(self._source.epoch(self._epoch, first), first):
            if number == first and not self._runner.settled():
                ready(batch)
            self._interrupts.check()
            step, looking = self._hooks.next_look(number)
            self._hooks.begin(number, 1)
            logs = self._interrupts.shield(self._runner.run_batch, batch)
            self._tell(EagerResult(number, logs), looking if step == number else ())
            if self._stopped():
                break


def _idle_since(begin, result):
    """Return for how long, since a time, the device had nothing to do.

    Args:
        begin: the time.
        result: of the chunk it was given last, or None.
    """
    if result is None:
        return time.perf_counter() - begin
    if not result.is_ready():
        return 0.0
    return max(0.0, time.perf_counter() - max(begin, result.due))
