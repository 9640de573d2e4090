"""`make saving-matrix`: files between stepfit and real Keras, each way; prints a table.

Model kind x format: weights and predictions are equal (weights to the bit). Model kind x optimizer:
a `.keras` file; weights and the optimizer's state are equal to the bit.
"""

import argparse
import os
import sys
import tempfile
import warnings

import numpy as np

from tests.saving import test_keras_files as files
from tests.saving.models import KINDS, LIBRARIES, fill, values_of

WAYS = [("stepfit", "keras"), ("keras", "stepfit")]
FORMATS = ["keras", "folder", "weights.h5", "weights.json", "json", "h5 of Keras 2"]
# Vocabularies are no part of a Keras 2 file; and Keras fails to load the other two itself.
NOT_IN_KERAS_2 = ("text", "lookups", "functional", "attention")


def by_format(kind, source, target, form, folder):
    """Return "equal", "-" where there is no such file, or what is wrong."""
    if form == "h5 of Keras 2":
        if source != "keras" or kind in ("subclassed", *NOT_IN_KERAS_2):
            return "-"
        return outcome(lambda: files.check_keras_two(kind, folder))
    return outcome(lambda: files.check_arrives(kind, source, target, form, folder))


def by_optimizer(kind, source, target, name, folder):
    """Save a model with a filled optimizer, load it with the other library, compare."""

    def check():
        k, path = LIBRARIES[source], os.path.join(folder, "m.keras")
        model = KINDS[kind](k)
        KINDS[kind](LIBRARIES[target])  # its classes are registered
        model.compile(files.optimizer_of(k, name), files.LOSSES_OF.get(kind, "mse"))
        model.optimizer.build(model.trainable_variables)
        fill(model.weights, 1)
        floats = [v for v in model.optimizer.variables if "float" in str(v.dtype) and v.shape]
        fill(floats, 2)
        model.save(path)
        other = files.loaded(LIBRARIES[target], kind, path)
        files.check_weights(other, values_of(model.weights))
        found = [files.saved(m.optimizer) for m in (other, model)]
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)

    return outcome(check)


def outcome(check):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check()
    except Exception as e:
        return f"{type(e).__name__}: {str(e).strip()[:300]}"
    return "equal"


def table(columns, run, say):
    """Print one table; returns the numbers of equal and of wrong cells, and what is wrong."""
    equal, wrong = 0, []
    for source, target in WAYS:
        say(f"\n{source} -> {target}")
        say(f"{'':16}" + "".join(f"{c[:13]:>14}" for c in columns))
        for kind in KINDS:
            cells = []
            for column in columns:
                with tempfile.TemporaryDirectory() as folder:
                    found = run(kind, source, target, column, folder)
                cells.append(found if found in ("equal", "-") else "WRONG")
                equal += found == "equal"
                if cells[-1] == "WRONG":
                    wrong.append(f"{source} -> {target}, {kind}, {column}: {found}")
            say(f"{kind:16}" + "".join(f"{c:>14}" for c in cells))
    return equal, wrong


def main():
    """Run from the command line; exits 1 where something is not equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formats", action="store_true", help="kind x format only")
    options = parser.parse_args()
    say = lambda text: print(text, flush=True)
    equal, wrong = table(FORMATS, by_format, say)
    if not options.formats:
        more, bad = table(list(files.OPTIMIZERS), by_optimizer, say)
        equal, wrong = equal + more, wrong + bad
    say(f"\n{equal} equal, {len(wrong)} not")
    for text in wrong:
        say(f"  {text}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
