"""The start of training with several processes."""

import os

import jax

from stepfit.core import errors, processes, seeding
from stepfit.random.seed_generator import global_generator

_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
_COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
_NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"
_LOST_AFTER = "STEPFIT_LOST_AFTER"


def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    lost_after: float | None = None,
) -> None:
    """Join the other processes of this training; call it before any computation.

    Every process runs the same script. What is not given comes from the environment variables
    `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `..._NUM_PROCESSES` and `..._PROCESS_ID`, which
    ``stepfit launch`` sets; else JAX asks SLURM, Open MPI, Kubernetes or the TPU. Afterwards all
    processes draw the same seeds. A second call does nothing.

    Args:
        job_addresses: "host:port" of the first process (others after a comma are ignored).
        num_processes: how many there are.
        process_id: number of this one, from 0.
        lost_after: seconds after which a process that is not heard of counts as lost, and ends the
            others; default 30, or the environment variable `STEPFIT_LOST_AFTER`.

    Raises:
        ValueError: a number that is not given and not found, or none of `num_processes`.
        RuntimeError: something was computed before.
    """
    if jax.distributed.is_initialized():
        return
    address = job_addresses or os.environ.get(_ADDRESSES)
    count = _number(num_processes, "num_processes", _COUNT)
    number = _number(process_id, "process_id", _NUMBER)
    if count is not None and number is not None and not 0 <= number < count:
        raise errors.bad_value(
            "initialize(process_id)", f"a number from 0 to {count - 1}", str(number)
        )
    seconds = float(lost_after or os.environ.get(_LOST_AFTER) or 30.0)
    try:
        jax.distributed.initialize(
            coordinator_address=address.split(",")[0] if address else None,
            num_processes=count, process_id=number,
            heartbeat_timeout_seconds=max(1, round(seconds)),
            shutdown_timeout_seconds=max(1, round(seconds)),
        )  # fmt: skip
    except ValueError as e:
        raise errors.bad_value(
            "initialize()", "the address of process 0, how many there are, and this one's number",
            f"no cluster that JAX knows ({e})",
            "pass job_addresses, num_processes and process_id, or use `stepfit launch -n N`",
        ) from e  # fmt: skip
    if processes.several():
        seeding.set_state(processes.agreed(seeding.get_state()))
        global_generator().set_state(processes.agreed(global_generator().get_state()))


def _number(given, argument, variable):
    """Return a number from an argument or an environment variable, or None."""
    value = os.environ.get(variable) if given is None else given
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        where = f"initialize({argument})" if given is not None else variable
        raise errors.bad_value(where, "a whole number", repr(value)) from None
