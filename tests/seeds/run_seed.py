"""Run the published guides' code blocks on stepfit, changing only what this file says.

In every guide the import lines change. In the tf.keras guide the functions of `tf.` that make up
the maths change to their stepfit names as well; `tf.data` stays what it is.
"""

import contextlib
import io
import pathlib

import stepfit

ORIGINALS = pathlib.Path(__file__).parent / "originals"

IMPORTS = {
    "import keras_core as keras": "import stepfit as keras",
    "from tensorflow.keras import layers": "from stepfit import layers",
    "from tensorflow import keras": "import stepfit as keras",
    "import keras": "import stepfit as keras",
}
FUNCTIONS = {
    "tf.GradientTape": "keras.GradientTape",
    "tf.concat": "keras.ops.concatenate",
    "tf.ones": "keras.ops.ones",
    "tf.random.normal": "keras.random.normal",
    "tf.random.uniform": "keras.random.uniform",
    "tf.shape": "keras.ops.shape",
    "tf.zeros": "keras.ops.zeros",
}


def blocks(name, functions=False):
    """Return a guide's code blocks, with the changes made."""
    text = (ORIGINALS / name).read_text(encoding="utf8")
    changed = []
    for block in text.split("# %%\n")[1:]:
        lines = [IMPORTS.get(line.strip(), line) for line in block.splitlines()]
        block = "\n".join(lines)
        if functions:
            for old, new in FUNCTIONS.items():
                block = block.replace(old, new)
        changed.append(block)
    return changed


class Guide:
    """A guide being run, block by block, in one namespace."""

    def __init__(self, name, functions=False):
        self.blocks = blocks(name, functions)
        self.namespace = {"__name__": "guide"}
        self.printed = ""

    def run(self, index):
        """Run one block; what it prints is added to `printed`; returns the guide's `model`."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(self.blocks[index], f"<block {index}>", "exec"), self.namespace)
        self.printed += out.getvalue()
        return self.namespace.get("model")


def small_mnist(train, test):
    """Return a `load_data` that gives the bundled digits, enlarged to 28 x 28, as MNIST."""
    import numpy as np

    (x, y), _ = stepfit.datasets.digits.load_data(test_split=0.0)
    x = np.kron(x, np.ones((1, 3, 3), "uint8")) * 15
    x = np.pad(x, ((0, 0), (2, 2), (2, 2))).astype("uint8")
    x, y = np.resize(x, (train + test, 28, 28)), np.resize(y, train + test)
    return lambda path="mnist.npz": ((x[:train], y[:train]), (x[train:], y[train:]))
