"""What the tests launch: trains a small model, and writes what came of it."""

import argparse
import json
import os
import signal

import jax
import numpy as np

import stepfit as keras
from tests.distribution import models


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--kind", default="sharded")
    parser.add_argument("--data", default="arrays")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--backup", action="store_true")
    parser.add_argument("--checkpoint", action="store_true")
    parser.add_argument(
        "--signal", nargs=2, help="number of a process, and the signal that it gets in epoch 2"
    )
    parser.add_argument("--late", action="store_true", help="it gets it after the last step")
    options = parser.parse_args()

    devices = len(keras.distribution.list_devices())
    distribution = {
        "one": lambda: None,
        "data": keras.distribution.DataParallel,
        "sharded": lambda: keras.distribution.FullyShardedDataParallel(least=64),
        "tensor": lambda: keras.distribution.ModelParallel(layout_map=models.layout_map(
            keras.distribution.DeviceMesh((devices // 2, 2), ["batch", "model"])
        )),
        "share": lambda: keras.distribution.DataParallel(auto_shard_dataset=False),
    }[options.kind]()  # fmt: skip
    model, (x, y) = models.mlp(distribution, rows=32)

    def batches():
        shared = options.kind == "share"
        number, count = (jax.process_index(), jax.process_count()) if shared else (0, 1)
        size = 16 // count
        while True:
            for begin in range(0, 32, 16):
                rows = slice(begin + number * size, begin + (number + 1) * size)
                yield x[rows], y[rows]

    class Trouble(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and not options.late:
                self.happens()

        def on_epoch_end(self, epoch, logs=None):
            if epoch == options.epochs - 1 and options.late:
                self.happens()

        def happens(self):
            if options.signal and jax.process_index() == int(options.signal[0]):
                os.kill(os.getpid(), getattr(signal, options.signal[1]))

    callbacks = [Trouble()]
    if options.backup:
        folder = os.path.join(options.folder, "backup")
        callbacks.append(keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False))
    if options.checkpoint:
        path = os.path.join(options.folder, "{epoch}.npz")
        callbacks.append(keras.callbacks.ModelCheckpoint(path, save_weights_only=True))
        callbacks.append(keras.callbacks.CSVLogger(os.path.join(options.folder, "log.csv")))
        folder = os.path.join(options.folder, "orbax")
        callbacks.append(keras.callbacks.OrbaxCheckpoint(folder))
    if options.data == "arrays":
        history = model.fit(
            x, y, batch_size=16, epochs=options.epochs, verbose=2, callbacks=callbacks
        )
    else:
        history = model.fit(
            batches(), steps_per_epoch=2, epochs=options.epochs, verbose=2, callbacks=callbacks
        )
    if options.checkpoint:
        model.save(os.path.join(options.folder, "model.keras"))
        read = keras.models.load_model(os.path.join(options.folder, "model.keras"))
        same = zip(read.get_weights(), model.get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in same)
        keras.callbacks.OrbaxCheckpoint.load(model, folder)
    weights = [v.numpy() for v in model.weights]
    predicted = model.predict(x, batch_size=16, verbose=0)
    results = [] if options.kind == "share" else model.evaluate(x, y, batch_size=16, verbose=0)
    held = sum(s.data.nbytes for v in model.weights for s in v.value.addressable_shards)
    if jax.process_index() == 0:
        np.savez(os.path.join(options.folder, "result.npz"), predicted, np.array(results), *weights)
        with open(os.path.join(options.folder, "result.json"), "w") as file:
            json.dump({"history": history.history, "devices": devices, "held": held}, file)


if __name__ == "__main__":
    main()
