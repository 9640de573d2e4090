"""Processes that train until they are killed: forked from one that has imported everything.

A child starts in some hundredths of a second, and finds its programs compiled in a folder that all
share, so dozens of kills cost little.
"""

import contextlib
import multiprocessing
import os
import pickle
import resource
import signal
import traceback

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.runs", "stepfit.callbacks", "orbax.checkpoint"])
FAILED = 3  # exit status of a child whose training ended with an error that it reports


class Child:
    """A process that runs one function of this module.

    Args:
        run: the function; it gets a connection, and the arguments.
        arguments: passed on.
    """

    def __init__(self, run, *arguments):
        self.ear, mouth = CONTEXT.Pipe(duplex=True)
        self._process = CONTEXT.Process(target=_run, args=(run, mouth, arguments))
        self._process.start()
        mouth.close()
        self.pid = self._process.pid

    def hear(self, seconds=30):
        """Return what the child says next; None at its end."""
        try:
            if not self.ear.poll(seconds):
                raise TimeoutError("the child says nothing")
            return self.ear.recv()
        except (EOFError, ConnectionResetError):
            return None

    def signal(self, number):
        """Send it a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):  # it may end just now
            if self._process.is_alive():
                os.kill(self.pid, number)

    def end(self, seconds=60):
        """Wait for its end; returns its exit status (negative: the signal that killed it)."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError("the child does not end")
        self.ear.close()
        return self._process.exitcode


def _run(run, mouth, arguments):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        run(mouth, *arguments)
    except Exception as e:
        mouth.send(("error", type(e).__mro__[1].__name__, str(e), traceback.format_exc()))
        mouth.close()
        os._exit(FAILED)  # a thread of Orbax's, whose write failed, may fail again at the end


def train(mouth, kind, directory, result, cache, save_freq=5, file_limit=None):
    """Train with backups, say where it is, and leave the result in a file.

    Args:
        mouth: connection to the parent.
        kind: of `runs.KINDS`.
        directory: of the backups, or None.
        result: path of the result.
        cache: folder of compiled programs.
        save_freq: of `BackupAndRestore`.
        file_limit: bytes that a file may have, as on a disk that is full.
    """
    import stepfit as keras
    from tests.faults import runs

    keras.config.set_compilation_cache(cache)
    callbacks: list = [_reporter(mouth)]
    if directory is not None:
        backup = keras.callbacks.BackupAndRestore(
            directory, save_freq=save_freq, delete_checkpoint=False
        )
        callbacks.append(backup)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    found = runs.fit(kind, callbacks)
    with open(result + ".part", "wb") as file:
        pickle.dump(found, file)
    os.rename(result + ".part", result)


def _reporter(mouth):
    import stepfit as keras

    class Reporter(keras.callbacks.Callback):
        """Tells the parent what is going on."""

        fused_safe = True

        def on_train_begin(self, logs=None):
            mouth.send(("begin",))

        def on_epoch_begin(self, epoch, logs=None):
            mouth.send(("epoch", epoch))

        def on_train_batch_end(self, batch, logs=None):
            mouth.send(("step", batch))

        def on_test_begin(self, logs=None):
            mouth.send(("validation",))

        def on_train_end(self, logs=None):
            mouth.send(("end",))

    return Reporter()


def interrupted(mouth, cache):
    """Train over and over, be interrupted, and say each time whether the model is usable."""
    import numpy as np

    import stepfit as keras
    from tests.faults import runs

    keras.config.set_compilation_cache(cache)
    number = 0
    while True:
        if number % 6 == 0:  # a new model: it may be hit while it is traced or compiled
            model, data = list(runs.KINDS.values())[number // 6 % len(runs.KINDS)]()
        outcome = "no KeyboardInterrupt"
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        mouth.send("fitting")  # whole: the next one comes as soon as the parent has read it
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            model.fit(*data, epochs=100_000, batch_size=4, validation_data=data, verbose=0)
        except KeyboardInterrupt:
            outcome = "usable"
            for _ in range(3):  # a second one may be under way
                try:
                    outcome = _usable(keras, np, model, data)
                    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it may come only now
                    break
                except KeyboardInterrupt:
                    continue
        mouth.send(outcome)
        if mouth.recv() == "enough":
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        number += 1


def _usable(keras, np, model, data):
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return "the handler of Ctrl-C was not put back"
    before = [np.array(v) for part in model.get_state() for v in part]
    if not all(np.isfinite(v).all() for v in before):
        return "weights that are not finite"
    model.evaluate(*data, verbose=0)
    model.fit(*data, epochs=1, batch_size=4, verbose=0)
    after = [np.array(v) for part in model.get_state() for v in part]
    if not all(np.isfinite(v).all() for v in after):
        return "weights that are not finite after another fit"
    if all((a == b).all() for a, b in zip(before, after, strict=True)):
        return "another fit changes nothing"
    return "usable"
