"""Run with 8 simulated devices: prints, as JSON, how far each case is from one device."""

import json
import sys

import jax
import numpy as np

import stepfit as keras
from tests.distribution import models, more

DeviceMesh = keras.distribution.DeviceMesh


def _tensor(name):
    mesh = DeviceMesh((2, 4), ["batch", "model"])
    of_cnn = name == "cnn"
    return (models.conv_layouts if of_cnn else models.layout_map)(mesh)


DISTRIBUTIONS = {
    "data": lambda name: keras.distribution.DataParallel(),
    "sharded": lambda name: keras.distribution.FullyShardedDataParallel(least=64),
    "data_tensor": lambda name: keras.distribution.ModelParallel(layout_map=_tensor(name)),
    "sharded_tensor": lambda name: keras.distribution.FullyShardedDataParallel(
        layout_map=_tensor(name), least=64
    ),
}


def bytes_per_device(variables):
    """The most that any device holds of some variables, measured from their shards."""
    held = dict.fromkeys(jax.devices(), 0)
    for v in variables:
        for shard in v.value.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


def everything(make, distribution, whole=True):
    """Train, evaluate, predict (if `whole`); return results, weights, bytes per device."""
    model, (x, y) = make(distribution)
    history = model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    curves = np.array([*history.history.values()])
    results = [curves]
    if whole:
        results.append(np.array([*model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
                                 .values()]))  # fmt: skip
    if whole and model._has_call():
        results.append(model.predict(x[:20], batch_size=16, verbose=0))
        results.append(np.array(model.train_on_batch(x[:16], y[:16])))
        results.append(np.array(model.test_on_batch(x[:4], y[:4])))
        results.append(model.predict_on_batch(x[:16]))
    optimizers = model._optimizers()
    state = [v for o in optimizers for v in o.variables]
    return {
        "results": results,
        "weights": [v.numpy() for v in [*model.weights, *state]],
        "weight_bytes": bytes_per_device(model.weights),
        "state_bytes": bytes_per_device(state),
        "devices": len(model.weights[0].value.devices()),
    }


def apart(a, b):
    """The largest difference, relative to the numbers' size where they are large."""
    return max(float(np.max(np.abs(x - y) / np.maximum(1.0, np.abs(y)), initial=0.0))
               for x, y in zip(a, b, strict=True))  # fmt: skip


def pairs(cases):
    """Return, for each "model:distribution", how far it is from one device.

    A case that ends in ":fit" is trained only.
    """
    found, alone = {}, {}
    for case in cases:
        name, kind, *part = case.split(":")
        make = models.MODELS[name]
        if name not in alone:
            alone[name] = everything(make, None, not part)
        one, many = alone[name], everything(make, DISTRIBUTIONS[kind](name), not part)
        found[case] = {
            "results": apart(many["results"], one["results"]),
            "weights": apart(many["weights"], one["weights"]),
            "one": {k: one[k] for k in MEASURED},
            "many": {k: many[k] for k in MEASURED},
        }
    return found


MEASURED = ("weight_bytes", "state_bytes", "devices")

if __name__ == "__main__":
    if sys.argv[1] == "pairs":
        print(json.dumps(pairs(sys.argv[2:])))
    else:
        print(json.dumps({name: getattr(more, name)() for name in sys.argv[2:]}))
