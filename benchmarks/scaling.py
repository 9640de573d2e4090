"""Step time and memory per device on 1, 2, 4 and 8 simulated devices, beside Keras.

``python -m benchmarks.scaling`` runs one process for each number of devices; in it, all contestants
train the same network in turns. Simulated devices share the cores of one machine, so more of them
are not faster: what is to be seen is what spreading costs, and how much memory each device needs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent
WIDTH, BATCH, STEPS = 1024, 256, 16
CONTESTANTS = (
    "stepfit one device", "stepfit data", "stepfit sharded", "stepfit model", "keras data",
    "keras model",
)  # fmt: skip


def main(argv=None):
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of devices")
    parser.add_argument("--windows", type=int, default=5, help="per contestant")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the benchmark")
    parser.add_argument("--out", type=pathlib.Path, help="file for the figures (JSON)")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure(args.child, args.windows, args.tiny)))
        return 0
    found = {}
    for count in map(int, args.devices.split(",")):
        print(f"{count} devices ...", file=sys.stderr, flush=True)
        found[count] = _run(count, args)
    print(table(found))
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _run(count, args):
    flag = f"--xla_force_host_platform_device_count={count}"
    env = {
        **os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flag,
        "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.scaling", "--child", str(count)]
    command += ["--windows", str(args.windows), *(["--tiny"] if args.tiny else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(count, windows, tiny):
    """Return ``{contestant: {"seconds": per step, "bytes": on a device, "loss": last}}``."""
    width, steps = (32, 4) if tiny else (WIDTH, STEPS)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH * steps, width), "float32")
    y = x[:, :8] * 2
    runs = {name: _contestant(name, count, width) for name in CONTESTANTS}
    seconds = {name: [] for name in runs}
    losses = {}
    for window in range(windows + 2):  # the first compiles, the second warms up
        for name, model in runs.items():
            begin = time.perf_counter()
            history = model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
            if window > 1:
                seconds[name].append((time.perf_counter() - begin) / steps)
            losses[name] = history.history["loss"][-1]
    return {
        name: {
            "seconds": statistics.median(seconds[name]), "bytes": _bytes(model),
            "loss": losses[name],
        }
        for name, model in runs.items()
    }  # fmt: skip


def _contestant(name, count, width):
    framework, kind = name.split(" ", 1)
    if framework == "keras":
        import keras
    else:
        import stepfit as keras
    api = keras.distribution
    devices = api.list_devices()
    spread = None
    if kind == "data":
        spread = api.DataParallel(devices=devices)
    elif kind == "sharded":
        spread = api.FullyShardedDataParallel(devices=devices)
    elif kind == "model":
        mesh = api.DeviceMesh((1, count), ["batch", "model"], devices)
        layouts = api.LayoutMap(mesh)
        layouts[".*up/kernel"], layouts[".*up/bias"] = (None, "model"), ("model",)
        layouts[".*down/kernel"] = ("model", None)
        spread = api.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    api.set_distribution(spread)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((width,)), layers.Dense(2 * width, activation="relu", name="up"),
        layers.Dense(width, activation="relu", name="down"), layers.Dense(8, name="out"),
    ])  # fmt: skip
    rng = np.random.default_rng(1)
    model.set_weights([(rng.random(w.shape, "float32") - 0.5) / 16 for w in model.get_weights()])
    optimizer = keras.optimizers.Adam(1e-3)
    if framework == "keras":
        model.compile(optimizer, "mse")
        model = _InForce(model, spread)
    else:
        model.compile(optimizer, "mse", distribution=spread)
    api.set_distribution(None)
    return model


class _InForce:
    """A model of Keras, whose distribution is the process's while it trains."""

    def __init__(self, model, spread):
        self._model, self._spread = model, spread
        self.weights, self.optimizer = model.weights, model.optimizer

    def fit(self, *args, **kwargs):
        """Train with the distribution in force."""
        with self._spread.scope():
            return self._model.fit(*args, **kwargs)


def _bytes(model):
    """Return the bytes of weights and optimizer on the device that holds most."""
    held: dict = {}
    for variable in [*model.weights, *model.optimizer.variables]:
        for shard in variable.value.addressable_shards:
            held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
    return max(held.values())


def table(found):
    """Return the figures as a table in Markdown."""
    head = " | ".join(f"{count} devices" for count in found)
    lines = [f"| ms per step; MiB per device | {head} |", "|---|" + "---|" * len(found)]
    for name in CONTESTANTS:
        cells = [f"{1e3 * f[name]['seconds']:.2f}; {f[name]['bytes'] / 2**20:.2f}"
                 for f in found.values()]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
