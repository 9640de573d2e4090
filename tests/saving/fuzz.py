"""Mutated files: each is refused with a clear error, or gives weights equal to the original's.

In HDF5 files as Keras writes them, without a checksum over the whole, values may differ unseen.

``python -m tests.saving.fuzz --count 10000`` runs the long form; a short one is in the suite.
"""

import argparse
import os
import random
import tempfile
import time
import warnings

import h5py
import numpy as np

import stepfit as keras
from stepfit.core import errors
from stepfit.saving import integrity
from tests.saving import hostile

FORMATS = ("keras", "weights.h5", "keras's weights.h5", "safetensors", "npz")
UNSEALED = "keras's weights.h5"
SLOW = 20.0  # seconds that one file may take


def mutated(data, rng):
    """Return bytes with a few of them changed, moved, cut off or put in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(max(len(data), 1))
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.choice((1, 8, 100, 5000))]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 8, 100)))
        elif kind == 4:
            data[at : at + 8] = rng.choice((0, 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
        elif kind == 5:
            other = rng.randrange(max(len(data), 1))
            data[at : at + 64] = data[other : other + 64]
        else:
            data = data[:at]
    return bytes(data)


def originals(folder):
    """Return `{format: bytes}`: files of one model."""
    model = hostile.model()
    rng = np.random.default_rng(0)
    for v in model.weights:
        v.assign(rng.normal(size=v.shape))
    found = {}
    for name in FORMATS:
        if name == UNSEALED:
            continue
        path = os.path.join(folder, f"good.{name}")
        if name == "keras":
            model.save(path)
        else:
            model.save_weights(path)
        with open(path, "rb") as file:
            found[name] = file.read()
    # Without the checksum behind it, as Keras writes it: other values cannot be told there.
    path = os.path.join(folder, "keras.weights.h5")
    with open(path, "wb") as file:
        file.write(found["weights.h5"])
    with h5py.File(path, "a") as file:
        del file.attrs[integrity.ATTRIBUTE]
    with open(path, "rb") as file:
        found[UNSEALED] = file.read().removesuffix(found["weights.h5"][-integrity.LENGTH :])
    return model, found


def run(count, seed=0, formats=FORMATS):
    """Load mutated files; return `{format: (refused, equal)}`.

    Raises:
        AssertionError: other weights, an unclear error, or too long a time.
    """
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        model, files = originals(folder)
        target, kept = hostile.model(), model.get_weights()
        for name in formats:
            rng, counts = random.Random(f"{seed} {name}"), [0, 0]
            path = os.path.join(folder, f"bad.{name.split()[-1]}")
            for number in range(count):
                with open(path, "wb") as file:
                    file.write(mutated(files[name], rng))
                counts[attempt(path, target, kept, f"{name} {seed}:{number}")] += 1
            result[name] = tuple(counts)
    return result


def attempt(path, model, kept, label):
    """Load one file; return 0 where it was refused, 1 where the weights are equal."""
    model.set_weights([w * 0 for w in kept])
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = keras.saving.load_model(path) if path.endswith(".keras") else model
            if found is model:
                model.load_weights(path)
    except errors.StepfitError as e:
        text = str(e)
        assert ": expected " in text and "found" in text and len(text) < 3000, (label, text)
        same = [w * 0 for w in kept]
        outcome = 0
    except Exception as e:
        raise AssertionError(f"{label}: {type(e).__name__}: {e}") from e
    else:
        same, outcome = kept, 1
    took = time.perf_counter() - start
    assert took < SLOW, (label, took)
    if outcome and UNSEALED in label:
        return outcome
    weights = (found if outcome else model).get_weights()
    for a, b in zip(weights, same, strict=True):
        assert np.array_equal(a, b), f"{label}: other weights, and no error"
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in FORMATS:
        start = time.perf_counter()
        refused, equal = run(options.count, options.seed, (name,))[name]
        took = time.perf_counter() - start
        print(f"{name:20} {refused:6} refused  {equal:6} equal  {took:6.0f} s", flush=True)


if __name__ == "__main__":
    main()
