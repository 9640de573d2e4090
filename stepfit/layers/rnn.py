"""RNN: a cell, run over the steps of a sequence."""

from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.variable import Variable
from stepfit.layers import stacked_cells
from stepfit.layers.layer import Layer
from stepfit.layers.recurrent_loop import run_steps
from stepfit.layers.stacked_cells import StackedRNNCells


class RNN(Layer):
    """Runs a cell over the steps of a sequence: ``output, states = cell(x[:, t], states)``.

    A cell is a layer with `state_size` (an int, or a list of ints: the size of each state), with
    `call(inputs, states)` that returns ``(output, states)``, and perhaps with `output_size` and
    `get_initial_state(batch_size)`.

    Args:
        cell: the cell, or a list of cells to stack.
        return_sequences: whether the outputs of all steps are returned, or the last one.
        return_state: whether the last states are returned too.
        go_backwards: whether the last step comes first; outputs come in that order.
        stateful: whether the states of a batch are the initial ones of the next, which must have
            the same size.
        unroll: whether the loop is compiled to straight code; slower in training on the CPU.
        zero_output_for_mask: whether the output of a masked step is 0, or the last one again.

    Call arguments:
        sequences: ``(batch, steps, ...)``.
        initial_state: the states before the first step, in a list; None: zeros.
        mask: bools ``(batch, steps)``; a step that is False is passed over.

    Returns:
        ``(batch, units)``, or ``(batch, steps, units)`` with `return_sequences`; with
        `return_state` a tuple of this and of each state.

    Raises:
        ValueError: stateful, and the size of the batch is not known, or another one.

    >>> import numpy as np, stepfit as keras
    >>> class Sum(keras.layers.Layer):
    ...     state_size = 3
    ...     def call(self, inputs, states):
    ...         total = states[0] + inputs
    ...         return total, [total]
    >>> keras.layers.RNN(Sum())(np.ones((1, 5, 3))).tolist()
    [[5.0, 5.0, 5.0]]
    """

    states: Any

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        stacked_cells.check_cell(cell, f"{type(self).__name__}(cell)")
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states = None
        size = cell.state_size
        self.state_size = [size] if isinstance(size, int) else list(size)

    def build(self, sequences_shape, initial_state_shape=None):
        step_shape = (sequences_shape[0], *sequences_shape[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(step_shape)
        if self.stateful:
            if sequences_shape[0] is None:
                raise errors.bad_value(
                    f"{self._where()} stateful", "a batch size that is known", "None",
                    "give the Input a batch_size",
                )  # fmt: skip
            with jax.ensure_compile_time_eval():
                start = self.get_initial_state(sequences_shape[0])
            dtype = self.variable_dtype
            self.states = jax.tree.map(
                lambda x: Variable(x, None, dtype, trainable=False, autocast=False,
                                   name="rnn_state"),
                start,
            )  # fmt: skip

    @property
    def _memory(self):
        return () if self.states is None else jax.tree.leaves(self.states, is_leaf=_is_variable)

    def get_initial_state(self, batch_size):
        """Return the states before the first step, for a batch without any."""
        return stacked_cells.initial_state(self.cell, batch_size, self.compute_dtype)

    def reset_state(self):
        """Set the states that a stateful layer keeps to zeros."""
        for state in self._memory:
            state.assign(jnp.zeros(state.shape, state.dtype))

    reset_states = reset_state

    def call(self, sequences, initial_state=None, mask=None, training=False):
        states = self._starting_states(sequences.shape[0], initial_state)
        noise = None
        if training and hasattr(self.cell, "draw_noise"):
            noise = self.cell.draw_noise(sequences[:, 0], states)
        output, states, loss = run_steps(
            lambda x, states: stacked_cells.call_cell(self.cell, x, states, training, noise),
            sequences, states, mask, where=self._where(), every_output=self.return_sequences,
            zero_masked=self.zero_output_for_mask, backwards=self.go_backwards,
            unroll=self.unroll,
        )  # fmt: skip
        if loss is not None:
            self.add_loss(loss)
        for variable, state in zip(self._memory, jax.tree.leaves(states), strict=False):
            variable.assign(state)
        output, states = jax.tree.map(lambda x: x.astype(self.compute_dtype), (output, states))
        return (output, *states) if self.return_state else output

    def _starting_states(self, batch, initial_state):
        if initial_state is None and self.stateful:
            found = self._memory[0].shape[0]
            if batch != found:
                raise errors.bad_value(
                    f"{self._where()} input", f"a batch of {found}, whose states it keeps",
                    f"a batch of {batch}",
                    "make every batch as large as the first, or use stateful=False",
                )  # fmt: skip
            initial_state = jax.tree.map(lambda v: v.value, self.states, is_leaf=_is_variable)
        elif initial_state is None:
            initial_state = self.get_initial_state(batch)
        elif not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        if len(initial_state) != len(self.state_size):
            raise errors.bad_value(
                f"{self._where()} initial_state", f"{len(self.state_size)} states",
                f"{len(initial_state)}",
            )  # fmt: skip
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), list(initial_state))

    def compute_mask(self, inputs, previous_mask=None):
        mask = previous_mask if self.return_sequences else None
        return [mask] + [None] * len(self.state_size) if self.return_state else mask

    def _current_config(self):
        names = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll",
                 "zero_output_for_mask")  # fmt: skip
        now = {name: getattr(self, name) for name in names}
        accepted = self._signature.init_names
        config = {k: v for k, v in now.items() if accepted is None or k in accepted}
        return {**super()._current_config(), **config}


def _is_variable(x):
    return isinstance(x, Variable)
