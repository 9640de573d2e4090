"""Processes for the tests: scripts with 8 simulated devices, and launched groups of processes."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent


def environment(**more):
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **more,
    }  # fmt: skip


def on_eight(*arguments, timeout=600):
    """Run `on_eight.py` with 8 devices; returns what it printed last, read as JSON."""
    flags = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-m", "tests.distribution.on_eight",
         *arguments],
        capture_output=True, text=True, timeout=timeout, cwd=ROOT,
        env=environment(XLA_FLAGS=flags),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def launch(folder, *arguments, processes=2, devices=None, timeout=240):
    """Train in several processes; returns ``(exit status, output)``."""
    folder.mkdir(exist_ok=True)
    own = [] if devices is None else ["--devices", str(devices)]
    done = subprocess.run(
        [sys.executable, "-m", "stepfit.cli", "launch", "-n", str(processes), *own,
         "--lost-after", "10", str(ROOT / "tests/distribution/train_script.py"), str(folder),
         *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, cwd=ROOT,
        env=environment(),
    )  # fmt: skip
    return done.returncode, done.stdout
