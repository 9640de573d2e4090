"""Cells of any kind: what is asked of them, and several as one."""

from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.layers.layer import Layer


def check_cell(cell, where):
    """Refuse what is no cell: nothing that can be called, or without the size of its states."""
    if isinstance(cell, type) or not callable(getattr(cell, "call", cell)):
        raise errors.bad_type(where, "a cell: a layer with `call(inputs, states)`", cell)
    if getattr(cell, "state_size", None) is None:
        raise errors.bad_value(
            where, "a cell with the attribute `state_size`, an int or a list of ints",
            errors.describe(cell), "set self.state_size in its __init__",
        )  # fmt: skip


def output_size(cell):
    """Return the size of a cell's output: as it says, else that of its first state."""
    size = getattr(cell, "output_size", None)
    return size if size is not None else jax.tree.leaves(cell.state_size)[0]


def initial_state(cell, batch_size, dtype):
    """Return a cell's states for a batch: as it says, else zeros; always in a list."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
    else:
        dtype = getattr(cell, "compute_dtype", dtype)
        states = jax.tree.map(lambda size: jnp.zeros((batch_size, size), dtype), cell.state_size)
    return list(states) if isinstance(states, (list, tuple)) else [states]


def call_cell(cell, inputs, states, training, noise):
    """Call a cell, built in or a user's, with those of the arguments that it takes."""
    options: dict[str, Any] = {}
    if isinstance(cell, Layer) and cell._signature.takes_training:
        options["training"] = training
    if noise is not None:
        options["noise"] = noise
    return (cell if callable(cell) else cell.call)(inputs, states, **options)


class StackedRNNCells(Layer):
    """Cells one upon another, as one cell: the output of each is the input of the next.

    Args:
        cells: list of cells.

    Call arguments:
        inputs: ``(batch, features)``.
        states: list with the states of each cell.

    Returns:
        the last cell's output, and the list of new states.

    >>> import numpy as np, stepfit as keras
    >>> cell = keras.layers.StackedRNNCells([keras.layers.GRUCell(4), keras.layers.LSTMCell(3)])
    >>> keras.layers.RNN(cell)(np.ones((2, 5, 6))).shape
    (2, 3)
    """

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        self.cells = list(cells)
        for i, cell in enumerate(self.cells):
            check_cell(cell, f"StackedRNNCells(cells[{i}])")

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size=None):
        """Return states of zeros for a batch: a list for each cell."""
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def draw_noise(self, inputs, states):
        """Return the noise of each cell that has any, else None."""
        found = []
        for cell, own in zip(self.cells, states, strict=True):
            found.append(cell.draw_noise(inputs, own) if hasattr(cell, "draw_noise") else None)
            shape = (inputs.shape[0], output_size(cell))
            inputs = jax.ShapeDtypeStruct(shape, inputs.dtype)
        return found

    def call(self, inputs, states, training=False, noise=None):
        new = []
        noise = noise or [None] * len(self.cells)
        for cell, own, n in zip(self.cells, states, noise, strict=True):
            inputs, own = call_cell(cell, inputs, own, training, n)
            new.append(own)
        return inputs, new
