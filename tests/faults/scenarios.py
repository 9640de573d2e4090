"""What is done to a training, and what has to be true afterwards. Each returns a `Row`."""

import dataclasses
import os
import pathlib
import pickle
import random
import shutil
import signal
import time

from stepfit.checkpoint import folders, reading
from tests.faults import children, runs


@dataclasses.dataclass
class Row:
    """A line of the table: how often something was done, and how often all was well."""

    what: str
    done: int
    well: int
    note: str = ""
    wrong: list = dataclasses.field(default_factory=list)


class Bench:
    """A folder to work in, the results of runs that nothing disturbs, and a source of chance.

    Args:
        folder: path.
        seed: of the chance.
    """

    def __init__(self, folder, seed=0):
        self.folder, self.random = pathlib.Path(folder), random.Random(seed)
        self.cache = str(self.folder / "compiled")
        self._count = 0
        self._undisturbed = {}
        self._over = None

    def new(self, name):
        """Return a path that is not used yet."""
        self._count += 1
        return str(self.folder / f"{name}{self._count}")

    def undisturbed(self, kind):
        """Return ``(result, seconds)`` of a run of a kind to which nothing happens."""
        if kind not in self._undisturbed:
            for _ in range(2):  # the second one finds its programs compiled
                path = self.new("result")
                child = children.Child(children.train, kind, self.new("run"), path, self.cache)
                assert child.hear() == ("begin",)
                begin = time.perf_counter()
                while child.hear() is not None:
                    pass
                assert child.end() == 0
                seconds = time.perf_counter() - begin
            self._undisturbed[kind] = load(path), seconds
        return self._undisturbed[kind]

    def finish(self, kind, directory, **arguments):
        """Run to the end; returns None if the result is the undisturbed one, else what is wrong."""
        path = self.new("result")
        child = children.Child(
            children.train, kind, directory, path, self.cache, *arguments.values()
        )
        said = None
        while (heard := child.hear()) is not None:
            said = heard
        status = child.end()
        if status != 0:
            return f"{kind}: exit status {status}, {said}"
        return None if runs.same(load(path), self.undisturbed(kind)[0]) else f"{kind}: other bits"

    def over(self):
        """Return the folder of a run that is over, with its two newest backups."""
        if self._over is None:
            self._over = self.new("run")
            assert self.finish("compiled", self._over) is None
        return self._over


def load(path):
    """Return a result."""
    with open(path, "rb") as file:
        return pickle.load(file)


# -- kill -9 ---------------------------------------------------------------------------------------


def wait_any_time(bench, child, directory, seconds):
    """Wait for any moment of the run."""
    time.sleep(bench.random.uniform(0, seconds))


def wait_in_first_epoch(bench, child, directory, seconds):
    """Wait for a moment in the epoch that the run begins with."""
    time.sleep(bench.random.uniform(0, seconds / runs.EPOCHS))


def wait_for_backup(bench, child, directory, seconds):
    """Wait for a moment while a backup is written, perhaps not the first."""
    for _ in range(bench.random.randint(1, 3)):
        before = set(folders.backups(directory))
        deadline = time.perf_counter() + 20
        while time.perf_counter() < deadline and not _parts(directory):
            if set(folders.backups(directory)) - before and bench.random.random() < 0.3:
                break
    time.sleep(bench.random.uniform(0, 0.04))


def wait_for_accumulation(bench, child, directory, seconds):
    """Wait for a step after which summed gradients wait for more."""
    skip = bench.random.randint(0, 20)
    while (heard := child.hear()) is not None:
        skip -= heard[0] == "step"
        if heard[0] == "step" and skip < 0 and heard[1] % 3 != 2:
            return


def wait_for_validation(bench, child, directory, seconds):
    """Wait for a moment in a validation."""
    skip = bench.random.randint(0, 2)
    while (heard := child.hear()) is not None:
        skip -= heard == ("validation",)
        if skip < 0:
            time.sleep(bench.random.uniform(0, 0.02))
            return


MOMENTS = {
    "at any time": wait_any_time, "in the first epoch": wait_in_first_epoch,
    "while a backup is written": wait_for_backup, "in mid-accumulation": wait_for_accumulation,
    "in mid-validation": wait_for_validation,
}  # fmt: skip


def _parts(directory):
    try:
        return [name for name in os.listdir(directory) if name.endswith(".part")]
    except FileNotFoundError:
        return []


def kills(bench, count, chain=3):
    """Kill runs, several times each, until they have come to their end.

    Args:
        bench: the `Bench`.
        count: number of kills.
        chain: most kills of one run.

    Returns:
        A `Row` for each kind of moment: how often the process died, and how often the run it
        belonged to ended with the bits of the undisturbed run.
    """
    rows = {name: Row(f"kill -9 {name}", 0, 0) for name in MOMENTS}
    moments = [list(MOMENTS)[i % len(MOMENTS)] for i in range(count)]
    bench.random.shuffle(moments)
    kinds, half = list(runs.KINDS), 0
    for number in range(0, count, chain):
        kind, directory = kinds[number // chain % len(kinds)], bench.new("run")
        for name in moments[number : number + chain]:
            while not _kill(bench, kind, directory, MOMENTS[name]):
                shutil.rmtree(directory, ignore_errors=True)  # it was over: from the beginning
            half += bool(_parts(directory))
        wrong = bench.finish(kind, directory)
        for name in moments[number : number + chain]:
            rows[name].done += 1
            rows[name].well += wrong is None
            rows[name].wrong += [wrong] if wrong else []
    rows["while a backup is written"].note = f"of all kills {half} left half a backup"
    return list(rows.values())


def _kill(bench, kind, directory, wait):
    """Return whether a run was killed before it was over."""
    seconds = bench.undisturbed(kind)[1]
    child = children.Child(children.train, kind, directory, bench.new("result"), bench.cache)
    if child.hear() != ("begin",):
        raise AssertionError("the child did not begin")
    wait(bench, child, directory, seconds)
    child.signal(signal.SIGKILL)
    return child.end() == -signal.SIGKILL


# -- signals ---------------------------------------------------------------------------------------


def terminations(bench, count, chain=3):
    """Send SIGTERM at random moments: it saves, exits 143, and the next run goes on from there."""
    row = Row("SIGTERM", 0, 0, "exit 143 with a backup of that moment, then the same bits")
    kinds = list(runs.KINDS)
    while row.done < count:
        kind, directory = kinds[row.done // chain % len(kinds)], bench.new("run")
        seconds, wrong, sent = bench.undisturbed(kind)[1], None, 0
        for _ in range(min(chain, count - row.done)):
            arguments = kind, directory, bench.new("result"), bench.cache, "1h"
            child = children.Child(children.train, *arguments)  # no backups but those of signals
            assert child.hear() == ("begin",)
            time.sleep(bench.random.uniform(0, seconds / 3))
            child.signal(signal.SIGTERM)
            status = child.end()
            if status == 0:  # it was over
                shutil.rmtree(directory, ignore_errors=True)
                continue
            sent += 1
            if status != 143:
                wrong = f"{kind}: exit status {status}"
            elif not folders.backups(directory):
                wrong = f"{kind}: no backup"
        wrong = wrong or bench.finish(kind, directory, save_freq="1h")
        row.done += sent
        row.well += 0 if wrong else sent
        row.wrong += [wrong] if wrong else []
    return [row]


def interrupts(bench, count):
    """Press Ctrl-C at random moments, every fifth time twice."""
    row = Row("Ctrl-C", 0, 0, "the model is finite, can be evaluated, and trains on")
    child = children.Child(children.interrupted, bench.cache)
    while row.done < count:
        assert child.hear() == "fitting"
        time.sleep(bench.random.choice([0.0, 0.02, 0.3]) * bench.random.random())
        child.signal(signal.SIGINT)
        if row.done % 5 == 4:
            time.sleep(bench.random.uniform(0, 0.005))
            child.signal(signal.SIGINT)
        outcome = child.hear()
        row.done += 1
        row.well += outcome == "usable"
        row.wrong += [] if outcome == "usable" else [outcome]
        child.ear.send("enough" if row.done == count else "more")
    assert child.end() == 0
    return [row]


# -- disks -----------------------------------------------------------------------------------------


def full_disk(bench, count):
    """Let a run meet a full disk: a clear error, the old backups intact, and the run goes on."""
    row = Row("disk full", count, 0, "BackupError, older backups intact, then the same bits")
    for number in range(count):
        kind, directory = list(runs.KINDS)[number % len(runs.KINDS)], bench.new("run")
        while not _kill(bench, kind, directory, wait_for_validation):
            shutil.rmtree(directory, ignore_errors=True)
        before = [reading.read(folder).name for folder in folders.backups(directory)]
        limit = bench.random.choice([200, 1000, 2000])
        child = children.Child(
            children.train, kind, directory, bench.new("result"), bench.cache, 5, limit
        )
        last = None
        while (heard := child.hear()) is not None:
            last = heard
        status = child.end()
        text = last[2] if last and last[0] == "error" else str(last)
        if status != children.FAILED or "expected to write a backup, found" not in text:
            row.wrong.append(f"{kind}: exit status {status}, {text}")
        elif [folder.name for folder in folders.backups(directory)] != before or not before:
            row.wrong.append(f"{kind}: the old backups are not all there")
        elif wrong := bench.finish(kind, directory):
            row.wrong.append(wrong)
        else:
            row.well += 1
    return [row]


def _files(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def bit_flips(bench, count):
    """Flip one bit, in each file in turn: it is noticed, and the file is named."""
    row = Row("bit flip", count, 0, "noticed, with the name of the file")
    newest = folders.backups(bench.over())[0]
    files = [path for path in _files(newest) if path.stat().st_size]
    for number in range(count):
        path = files[number % len(files)]
        data = path.read_bytes()
        bit = bench.random.randrange(8 * len(data))
        path.write_bytes(_flipped(data, bit))
        name = path.relative_to(newest).as_posix()
        try:
            reading.read(newest)
            row.wrong.append(f"{name}, bit {bit}: not noticed")
        except reading.Damaged as e:
            row.well += repr(name) in str(e)
            row.wrong += [] if repr(name) in str(e) else [f"{name}: {e}"]
        path.write_bytes(data)
    reading.read(newest)  # it is as it was
    row.note += f"; {len(files)} files"
    return [row]


def _flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def truncations(bench, count):
    """Cut files off, or remove them: the backup before is taken, with a warning."""
    row = Row("truncated or missing file", count, 0, "falls back to the backup before")
    newest, older = folders.backups(bench.over())
    files = _files(newest)
    for number in range(count):
        path = files[number % len(files)]
        data = path.read_bytes()
        if number // len(files) % 2 and data:
            path.write_bytes(data[: bench.random.randrange(len(data))])
        else:
            path.unlink()
        told: list = []
        found = reading.newest(newest.parent, lambda *of_one, told=told: told.append(of_one))
        name = path.relative_to(newest).as_posix()
        if found and found.folder == older and told and repr(name) in told[0][1]:
            row.well += 1
        else:
            row.wrong.append(f"{name}: {told}")
        path.write_bytes(data)
    return [row]


# -- errors of the user ----------------------------------------------------------------------------


def second_fits(bench, count):
    """Fail in the first batch of a second `fit`: what was trained stays."""
    import numpy as np

    import stepfit as keras

    row = Row("error in the first batch of a second fit", 0, 0, "the weights stay")

    class Raises(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise OSError("of the user")

    def broken_data():
        raise OSError("of the user")
        yield

    x, y = runs.X, runs.Y
    failures = {
        "shape of x": lambda m: m.fit(x[:, :3], y, verbose=0),
        "shape of y": lambda m: m.fit(x, np.concatenate([y, y, y], 1), verbose=0),
        "data": lambda m: m.fit(broken_data(), verbose=0),
        "callback": lambda m: m.fit(x, y, verbose=0, callbacks=[Raises()]),
        "lengths": lambda m: m.fit(x, y[:5], verbose=0),
    }
    model, data = runs.compiled()
    model.fit(*data, epochs=1, batch_size=4, verbose=0)
    for number in range(count):
        name = list(failures)[number % len(failures)]
        weights = model.get_weights()
        try:
            failures[name](model)
            outcome = "no error"
        except Exception:
            outcome = "an error"
        same = all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True))
        row.done += 1
        row.well += outcome == "an error" and same
        row.wrong += [] if outcome == "an error" and same else [f"{name}: {outcome}, {same}"]
        model.fit(*data, epochs=1, batch_size=4, verbose=0)  # it goes on
    return [row]
