"""Several processes that train one model: how they agree, and who writes.

All run the same script. What depends on the clock or on signals differs between them (how many
steps fit a tenth of a second, whether it is time for a backup, Ctrl-C), yet they must take the same
steps: so the first process decides, and tells the others through JAX's coordination service. No
device is asked, so nothing waits for the steps that are under way.
"""

import itertools
import json
from typing import Any

import jax

from stepfit.core import errors, jax_private

_TIMEOUT = 3600.0  # seconds; a process that is lost is noticed earlier, by its heartbeat
_KEPT = 64  # messages; nobody is so far behind
_numbers = itertools.count()
_stops = itertools.count(1)
_stop = "stepfit/stop/0"  # another one after each stop: what was asked for then is past


def is_first():
    """Say whether this is the process that writes files and talks to the user."""
    return jax_private.coordination()[1] == 0


def several():
    """Say whether there are other processes."""
    return jax_private.coordination()[2] > 1


def _client():
    return jax_private.coordination()[0]


def agreed(value):
    """Return what the first process passed, in all processes; all must call it, in one order.

    Args:
        value: what JSON can hold.
    """
    if not several():
        return value
    number, client = next(_numbers), _client()
    key = f"stepfit/agreed/{number}"
    if is_first():
        client.key_value_set(key, json.dumps(value))
        if number >= _KEPT:
            client.key_value_delete(f"stepfit/agreed/{number - _KEPT}")
        return value
    try:
        return json.loads(client.blocking_key_value_get(key, int(1000 * _TIMEOUT)))
    except jax.errors.JaxRuntimeError as e:
        raise lost(e) from e


def ask_to_stop(number):
    """Tell the first process of a signal."""
    _client().key_value_set(_stop, str(int(number)), allow_overwrite=True)


def asked_to_stop():
    """Return the signal that another process told the first one of, or None."""
    try:
        return int(_client().key_value_try_get(_stop))
    except jax.errors.JaxRuntimeError:  # there is none
        return None


def note_stop():
    """Forget what asked for the stop that all have agreed on; all must call it."""
    global _stop
    _stop = f"stepfit/stop/{next(_stops)}"


def last_stop(number):
    """Return the signal that any process has got, or None; all wait here for one another.

    Args:
        number: the one that this process has got, or None.
    """
    if number is not None and not is_first():
        ask_to_stop(number)
    try:
        _client().wait_at_barrier(f"stepfit/barrier/{next(_numbers)}", int(1000 * _TIMEOUT))
    except jax.errors.JaxRuntimeError as e:
        raise lost(e) from e
    number = agreed(number or asked_to_stop() if is_first() else None)
    if number is not None:
        note_stop()
    return number


def lost(error):
    """Return the error for training that cannot go on because another process is gone."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return errors.StepfitRuntimeError(
        f"process {jax.process_index()} of {jax.process_count()}: expected all processes to train "
        f"on, found that one is gone ({reason}); the first error is in the output of the process "
        "that ended first. Run the script again: with BackupAndRestore it goes on from the last "
        "backup."
    )


def is_loss(error):
    """Say whether an error of JAX's means that another process is gone."""
    if not several() or not isinstance(error, jax.errors.JaxRuntimeError):
        return False
    text = str(error).lower()
    signs = ("gloo", "nccl", "connection", "socket", "heartbeat", "coordination", "unavailable")
    return any(sign in text for sign in signs)


class Plan:
    """What the processes do next, as the first one says.

    Attributes:
        most: most steps of the next dispatch.
        look: ``[step, numbers of callbacks]``: after which step some callbacks need the model.
        stop: the signal to end with, or None.
        over: whether training is to stop.
        done: number of steps done; the same everywhere, or the data differ.
    """

    def __init__(self, most=1, look=(None, ()), stop=None, over=False, done=0):
        self.most, self.look, self.stop, self.over, self.done = most, look, stop, over, done

    def agree(self, where):
        """Return the first process's plan.

        Args:
            where: what is going on, for messages.

        Raises:
            StepfitRuntimeError: this process is at another step than the first one.
        """
        theirs: Any = Plan(**agreed(vars(self)))
        if theirs.done != self.done:
            raise errors.StepfitRuntimeError(
                f"{where}: expected all processes to be at one step, found process 0 "
                f"{_place(theirs.done)} and process {jax.process_index()} {_place(self.done)}; "
                "give each process as many batches as the others."
            )
        return theirs


def _place(done):
    return f"at the end, after {-done - 1} steps" if done < 0 else f"after {done} steps"
