"""The command `stepfit`.

``stepfit launch -n 4 script.py ...`` runs a script in several processes of this machine, which
train together. A script need not know: each process joins the others before the script begins.

``stepfit plan --mesh batch=256,model=8 script.py`` says what its training would need there.

``stepfit inspect model.keras`` says what is in a file, without building or trusting it.
"""

import argparse
import glob
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

_DISTRIBUTIONS = {"sharded": "FullyShardedDataParallel", "data": "DataParallel"}
_GRACE = 10.0  # seconds that processes have to end by themselves after one has failed


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="stepfit", description="Commands around training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{launch,plan,inspect}")
    launch = commands.add_parser(
        "launch", help="run a script in several processes that train together"
    )
    launch.add_argument("-n", "--processes", type=int, default=2, help="how many (default 2)")
    launch.add_argument(
        "--devices", type=int, help="simulated CPU devices for each process (without: its own)"
    )
    launch.add_argument(
        "--lost-after", type=float, default=30.0,
        help="seconds after which a silent process counts as lost (default 30)",
    )  # fmt: skip
    plan = commands.add_parser(
        "plan", help="say what a script's first fit would need on many devices, without them"
    )
    plan.add_argument("--mesh", help="axes and their sizes: batch=256,model=8", type=_mesh)
    plan.add_argument(
        "--distribution", choices=sorted(_DISTRIBUTIONS), default="sharded",
        help="for a script that sets none: 'sharded' (the default) or 'data'",
    )  # fmt: skip
    look = commands.add_parser(
        "inspect", help="say what is in a file of a model or of weights, without building it"
    )
    look.add_argument("file", help="path of the file, or of a model's folder")
    member = commands.add_parser("member", description="One process of `launch`.")
    for command in (launch, plan, member):
        command.add_argument("script", help="path of the script")
        command.add_argument(
            "arguments", nargs=argparse.REMAINDER,
            help="its arguments: all that stands after it",
        )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.command == "inspect":
        from stepfit.saving import inspection  # the other commands begin without JAX

        return inspection.main(options.file)
    if options.command == "member":
        return _member(options.script, options.arguments)
    if not os.path.isfile(options.script):
        parser.error(f"expected the path of a script, found {options.script!r}")
    if options.command == "plan":
        if options.mesh is None:
            found = "--mesh after the script, as its argument" if any(
                a.split("=")[0] == "--mesh" for a in options.arguments
            ) else "none"  # fmt: skip
            plan.error(
                f"expected --mesh before the script, found {found}; write: "
                f"stepfit plan --mesh batch=4,model=2 {options.script}"
            )
        return _plan(options)
    if options.processes < 1:
        parser.error(f"-n: expected at least 1, found {options.processes}")
    return _launch(options)


def _mesh(text):
    """Return ``{axis: size}`` of a text such as "batch=4,model=2"."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        axes = {name.strip(): int(size) for name, size in pairs}
    except ValueError:
        pairs, axes = [], {}
    if not axes or len(axes) < len(pairs) or min(axes.values()) < 1:
        raise argparse.ArgumentTypeError(f"expected axes such as batch=4,model=2, found {text!r}")
    return axes


def _plan(options):
    """Run a script up to its first `fit`, on simulated devices; print what it would need."""
    import math

    flags = os.environ.get("XLA_FLAGS", "")
    count = math.prod(options.mesh.values())
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={count}".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"
    from stepfit import distribution
    from stepfit.training import planning

    planning.begin()
    mesh = distribution.DeviceMesh(tuple(options.mesh.values()), list(options.mesh))
    planning.stop_at_fit(lambda: getattr(distribution, _DISTRIBUTIONS[options.distribution])(mesh))
    _as_main(options.script, options.arguments)
    print(f"stepfit plan: {options.script} ended without a call of fit")
    return 1


def _as_main(script, arguments):
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")


def _member(script, arguments):
    """Join the other processes, then run the script."""
    from stepfit.distribution import initialize

    initialize()
    try:
        _as_main(script, arguments)
    except KeyboardInterrupt as error:  # somebody asked for it: one line in place of a traceback
        frame = traceback.extract_tb(_from(script, error))[0]
        print(f"stopped by Ctrl-C at line {frame.lineno} of {frame.filename}", flush=True)
        sys.excepthook = lambda *_: None
        raise
    except Exception as error:  # the others must not wait for a farewell
        traceback.print_exception(error.with_traceback(_from(script, error)))
        sys.stdout.flush()
        os._exit(1)
    return 0


def _from(script, error):
    """Return an error's traceback without what came before the script."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    return trace or error.__traceback__


def _launch(options):
    """Start the processes, pass on what they print, end them all when one fails."""
    port = _free_port()
    started = [_start(options, number, port) for number in range(options.processes)]
    asked: list[float] = []  # when it was asked to stop
    handler = _passing_on(started, asked)
    before = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = _wait(started, asked)
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
    return status


def _start(options, number, port):
    environment = {
        **os.environ,
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(options.processes),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
        "STEPFIT_LOST_AFTER": str(options.lost_after),
        "PYTHONUNBUFFERED": "1",
    }
    if options.devices:
        flags = os.environ.get("XLA_FLAGS", "")
        flag = f"--xla_force_host_platform_device_count={options.devices}"
        environment.update(JAX_PLATFORMS="cpu", XLA_FLAGS=f"{flags} {flag}".strip())
    elif "JAX_LOCAL_DEVICE_IDS" not in os.environ and _gpus() >= options.processes > 1:
        each = _gpus() // options.processes
        own = range(number * each, (number + 1) * each)
        environment["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, own))
    command = [sys.executable, "-m", "stepfit.cli", "member", options.script, *options.arguments]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    label = f"[{number}] " if options.processes > 1 else ""
    reader = threading.Thread(target=_pass_on, args=(process.stdout, label), daemon=True)
    reader.start()
    process.reader = reader  # type: ignore[attr-defined]  # to wait for its last lines
    return process


def _gpus():
    """Return how many NVIDIA GPUs this machine has."""
    return len(glob.glob("/dev/nvidia[0-9]*"))


def _pass_on(stream, label):
    for line in stream:
        sys.stdout.write(f"{label}{line}")
        sys.stdout.flush()


def _passing_on(started, asked):
    """Return a handler that passes a signal on: the processes stop together, at a safe point."""

    def handle(number, frame):
        asked.append(time.monotonic())
        for process in started:
            if process.poll() is None:
                process.send_signal(number)

    return handle


def _wait(started, asked):
    """Wait for all processes; returns the exit status of the first that failed, or 0.

    Who asks twice means it: what then hangs, as processes do that wait for one another, is killed
    after a while, or when asked a third time.
    """
    failed, deadline = None, float("inf")
    while any(process.poll() is None for process in started):
        if len(asked) > 2 or len(asked) > 1 and time.monotonic() > asked[1] + _GRACE:
            running = [i for i, process in enumerate(started) if process.poll() is None]
            print(f"stepfit launch: ending processes {running}: they did not end when asked to "
                  f"{len(asked)} times. Run the command again: with BackupAndRestore it goes on "
                  "from the last backup.", flush=True)  # fmt: skip
            for number in running:
                started[number].kill()
                started[number].wait()
        elif failed is None:
            failed = _failure(started)
            if failed is not None:
                deadline = time.monotonic() + _GRACE
        elif time.monotonic() > deadline:
            deadline = float("inf")
            running = [i for i, process in enumerate(started) if process.poll() is None]
            print(f"stepfit launch: ending processes {running}: they did not end by themselves "
                  f"within {_GRACE:.0f} s of process {failed[0]}: they hang or were stopped. Run "
                  "the command again: with BackupAndRestore it goes on from the last backup.",
                  flush=True)  # fmt: skip
            for number in running:
                started[number].kill()
        time.sleep(0.05)
    for process in started:
        process.reader.join(5)
    failed = _failure(started) if failed is None else failed
    if failed is None:
        return 0
    number, status = failed
    how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
    print(f"stepfit launch: process {number} {how}", flush=True)
    return 128 - status if status < 0 else status


def _failure(started):
    """Return ``(number, exit status)`` of a process that failed, or None."""
    for number, process in enumerate(started):
        if process.poll():
            return number, process.returncode
    return None


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
