"""`make saving-faults`: kill -9 and a full disk while a model is saved over an older one.

Each time, what stands at the path has to be whole: one of the models that were written there.

Options: --count N of each row, --seed N for other moments.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time

import numpy as np

import stepfit as keras
from tests.faults.children import FAILED, Child
from tests.faults.run import table
from tests.faults.scenarios import Row

FORMS = {  # what is written: a file's name, and how
    "m.keras": lambda model, path: model.save(path),
    "folder": lambda model, path: model.save(path, zipped=False),
    "m.weights.h5": lambda model, path: model.save_weights(path),
    "m.weights.json": lambda model, path: model.save_weights(path, max_shard_size=7.5e-5),
    "m.safetensors": lambda model, path: model.save_weights(path),
}
KILLED, FULL = "kill -9 while saving", "disk full while saving"


def small():
    """A model of some tens of kilobytes, so that writing it takes a while."""
    return keras.Sequential([keras.Input((50,)), keras.layers.Dense(400)])


def numbered(model, number):
    """Give every weight one value."""
    model.set_weights([np.full(w.shape, number, "float32") for w in model.weights])


def number_at(form, path):
    """Return the value of all weights in a file; None where they differ."""
    if form in ("m.keras", "folder"):
        model = keras.saving.load_model(path)
    else:
        model = small()
        model.load_weights(path)
    values = np.unique(np.concatenate([w.ravel() for w in model.get_weights()]))
    return values[0] if len(values) == 1 else None


def save_without_end(mouth, form, path):
    """Save again and again; the parent is told before each time."""
    model, number = small(), 0
    while True:
        number += 1
        numbered(model, number)
        with contextlib.suppress(BrokenPipeError):
            mouth.send(number)
        FORMS[form](model, path)


def save_once(mouth, form, path, limit):
    """Save where a file can have `limit` bytes and no more, as on a disk that is full."""
    model = small()
    numbered(model, 7)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    FORMS[form](model, path)


def kills(folder, form, count, chance):
    """Kill a process that saves; the model at the path is the one before, or the new one."""
    row = Row(f"{KILLED}: {form}", count, 0, "the file before, or the new one, loads whole")
    for number in range(count):
        path, last = os.path.join(folder, f"{number}", form), 0
        os.makedirs(os.path.dirname(path))
        child = Child(save_without_end, form, path)
        for _ in range(3):
            last = child.hear()
        begin = time.perf_counter()
        last = child.hear()  # how long one saving takes
        time.sleep(chance.uniform(0, 1.5 * (time.perf_counter() - begin)))
        child.signal(signal.SIGKILL)
        while (heard := child.hear()) is not None:
            last = heard
        if child.end() != -signal.SIGKILL:
            row.wrong.append(f"{number}: it ended by itself")
            continue
        _judge(row, form, path, (last - 1, last))
    return row


def full_disk(folder, form, count, chance):
    """Let a saving meet a full disk: a clear error, and the older file is as it was."""
    row = Row(f"{FULL}: {form}", count, 0, "OSError, and the older file loads")
    path = os.path.join(folder, form)
    model = small()
    numbered(model, 3)
    FORMS[form](model, path)
    before = sorted(os.listdir(folder))
    for number in range(count):
        child, said = Child(save_once, form, path, chance.randrange(200, 60_000)), None
        while (heard := child.hear()) is not None:
            said = heard
        status = child.end()
        if status != FAILED or "File too large" not in said[2]:
            row.wrong.append(f"{number}: exit status {status}, {said}")
        elif sorted(os.listdir(folder)) != before:
            row.wrong.append(f"{number}: left behind: {sorted(os.listdir(folder))}")
        else:
            _judge(row, form, path, (3,))
    return row


def _judge(row, form, path, expected):
    try:
        found = number_at(form, path)
    except Exception as e:
        row.wrong.append(f"{type(e).__name__}: {e}")
        return
    row.well += found in expected
    row.wrong += [] if found in expected else [f"expected one of {expected}, found {found}"]


def run(count, seed=0, forms=FORMS, say=lambda text: None):
    """Do all of it; returns a list of `Row`s."""
    rows, chance = [], random.Random(seed)
    for scenario in (kills, full_disk):
        for form in forms:
            folder = tempfile.mkdtemp()
            begin = time.perf_counter()
            try:
                rows.append(scenario(folder, form, count, chance))
            finally:
                shutil.rmtree(folder)
            say(f"{rows[-1].what}: {time.perf_counter() - begin:.0f} s")
    return rows


def main():
    """Run from the command line; exits 1 where anything is not well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    say = lambda text: print(text, file=sys.stderr, flush=True)
    rows = run(options.count, options.seed, say=say)
    print(table(rows))
    sys.exit(any(row.well != row.done for row in rows))


if __name__ == "__main__":
    main()
