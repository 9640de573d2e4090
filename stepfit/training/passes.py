"""One pass over a source of batches: the driver between data, engine and callbacks."""

import collections
import time
from typing import Any

from stepfit.training.engine import TICK
from stepfit.training.feed import make_feed
from stepfit.training.logs import EagerResult

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
        more: whether another epoch is to follow.
        meanwhile: function called while the first steps of a new program run, or None.
    """

    def __init__(
        self, runner, source, epoch, callbacks, interrupts, stopped, collect=None, more=False,
        meanwhile=None,
    ):  # fmt: skip
        self._runner, self._source, self._epoch = runner, source, epoch
        self._interrupts, self._stopped, self._collect = interrupts, stopped, collect
        self._more, self._meanwhile = more, meanwhile
        self._hooks = callbacks.of_batches(runner.kind)
        self._done_at: float | None = None  # when the last chunk was done, if it was seen
        self._ended = False
        self.last = None  # the result that is newest among those settled

    def run(self, ready):
        """Run it.

        Args:
            ready: function of the first batch, called where the model may have changed.

        Returns:
            The last `Result`, or None without any batch.
        """
        begin = time.perf_counter()
        self._runner.begin(self._hooks.why_strict())
        if self._runner.eager:
            self._run_eagerly(ready)
        else:
            self._run(ready)
        self._runner.finish(time.perf_counter() - begin)
        return self.last

    def _run(self, ready):
        runner, hooks = self._runner, self._hooks
        feed = make_feed(self._source, self._epoch, runner)
        if not runner.settled():
            first = feed.peek()
            if first is not None:
                ready(first)
        under_way: collections.deque = collections.deque()
        most = 0 if hooks.strict else _IN_FLIGHT

        result: Any = None
        news = False  # whether the first steps of a new program have run
        while not self._stopped():
            begin = time.perf_counter()
            chunk = feed.next(runner.most_steps, TICK)
            if chunk is None:
                break
            if result is None or result.is_ready():  # the device waited, since it was done
                busy_until = begin if result is None else max(begin, result.due)
                runner.seconds["data"] += max(0.0, time.perf_counter() - busy_until)
            chunk.program.executable()  # may take long; Ctrl-C is heard
            self._interrupts.check()
            hooks.begin(chunk.first, chunk.count)
            known = chunk.program.seconds_per_step is not None
            result = self._interrupts.shield(runner.run, chunk)
            under_way.append((chunk.program, result))
            while under_way and (len(under_way) > most or not known):
                self._settle(*under_way.popleft())
            if known and news:
                feed.rest()
                if self._meanwhile is not None:
                    self._meanwhile()
            news = not known
        if self._more:
            feed.ahead()
        while under_way:
            self._settle(*under_way.popleft())

    def _settle(self, program, result):
        """Wait for a chunk, learn how long its steps take, tell the callbacks."""
        waits = not result.is_ready()
        result.wait()
        now = time.perf_counter()
        # It began when it was dispatched, or when the chunk before it was seen to be done.
        begun = result.begun if self._done_at is None else max(result.begun, self._done_at)
        seconds, known = (now - begun) / result.count, program.seconds_per_step
        if waits or known is None or seconds < known:  # else it was done before we looked
            program.note_seconds(seconds)
        self._done_at = now if waits else None
        self._tell(result)

    def _tell(self, result):
        self.last = result
        if self._collect is not None:
            self._collect(result)
        if not self._ended:  # by a hook that heard of an earlier chunk
            self._hooks.end(result)
            self._ended = self._stopped()

    def _run_eagerly(self, ready):
        for number, batch in enumerate(self._source.epoch(self._epoch)):
            if number == 0 and not self._runner.settled():
                ready(batch)
            self._interrupts.check()
            self._hooks.begin(number, 1)
            logs = self._interrupts.shield(self._runner.run_batch, batch)
            self._tell(EagerResult(number, logs))
            if self._stopped():
                break
