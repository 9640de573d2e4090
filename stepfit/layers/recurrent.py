"""SimpleRNN, LSTM and GRU: a recurrent layer with a cell of its own."""

import operator
from collections.abc import Callable
from typing import Any

from stepfit.core import errors
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell
from stepfit.layers.rnn import RNN


class OwnCell(RNN):
    """Base: a recurrent layer that makes its cell; the cell's settings are attributes here too."""

    use_cudnn: Any = "auto"

    def _check_use_cudnn(self, use_cudnn):
        if use_cudnn not in ("auto", True, False):
            raise errors.bad_value(
                f"{type(self).__name__}(use_cudnn)", "'auto', True or False",
                errors.describe(use_cudnn),
            )  # fmt: skip
        self.use_cudnn = use_cudnn

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) == 2:
            raise errors.bad_value(
                f"{self._where()} input", "3 axes (batch, steps, features)",
                f"2 axes, shape {tuple(sequences_shape)}",
                "for one number per step pass x[..., None]; an Embedding makes features of indices",
            )  # fmt: skip
        super().build(sequences_shape, initial_state_shape)
        if len(sequences_shape) == 3:
            self.input_spec = InputSpec(ndim=3, axes={-1: sequences_shape[-1]})


for _name in (
    "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "reset_after",
    "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
    "bias_constraint", "dropout", "recurrent_dropout", "seed", "implementation", "filters",
    "kernel_size", "strides", "padding", "data_format", "dilation_rate",
):  # fmt: skip
    setattr(OwnCell, _name, property(operator.attrgetter(f"cell.{_name}")))


class SimpleRNN(OwnCell):
    """``h = activation(x @ kernel + h @ recurrent_kernel + bias)``, step by step.

    Args:
        units: size of the output and of the state.
        activation: name or function; None: none.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initial weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: added to
            the losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: shares of the inputs, and of the state, that are set to 0 in
            training: the same in all steps of a sequence.
        seed: int, or None for other numbers in each run.
        return_sequences, return_state, go_backwards, stateful, unroll: as in `RNN`.

    Input: ``(batch, steps, features)``; output: ``(batch, units)``, or all steps.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.SimpleRNN(4, return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable[[Any], Any] | None = "tanh",
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout,
            seed, dtype=kwargs.get("dtype"), trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=3)


class LSTM(OwnCell):
    """Long short-term memory: gates decide what the state ``c`` forgets, takes in and shows.

    ``i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias)``;
    ``c = s(f) * c + s(i) * a(g)``; ``h = s(o) * a(c)`` with ``a`` the activation and ``s`` the
    recurrent activation.

    Args:
        units: size of the output and of both states.
        activation, recurrent_activation: names or functions; None: none.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initial weights.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: added to
            the losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: shares of the inputs, and of the state, that are set to 0 in
            training: the same in all steps of a sequence.
        seed: int, or None for other numbers in each run.
        return_sequences, return_state, go_backwards, stateful, unroll: as in `RNN`.
        use_cudnn: accepted for Keras's signature; XLA compiles the loop.
        implementation: 1: each gate drops other inputs; 2: all the same. Nothing else differs.

    Input: ``(batch, steps, features)``; output: ``(batch, units)``, or all steps; states: h, c.

    Source: Hochreiter and Schmidhuber, 1997, https://www.bioinf.jku.at/publications/older/2604.pdf

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.LSTM(4, return_state=True)
    >>> [a.shape for a in layer(np.ones((2, 5, 3)))]
    [(2, 4), (2, 4), (2, 4)]
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable[[Any], Any] | None = "tanh",
        recurrent_activation: str | Callable[[Any], Any] | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: str | bool = "auto",
        implementation: int = 2,
        **kwargs,
    ):
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, unit_forget_bias, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, implementation,
            dtype=kwargs.get("dtype"), trainable=kwargs.get("trainable", True), name="lstm_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self._check_use_cudnn(use_cudnn)
        self.input_spec = InputSpec(ndim=3)


class GRU(OwnCell):
    """Gated recurrent unit: one gate mixes the old state with a new one, one resets what it sees.

    ``z = s(x_z + h_z)``; ``r = s(x_r + h_r)``; ``g = a(x_g + r * h_g)``;
    ``h = z * h + (1 - z) * g``, where ``x_z, x_r, x_g = split(x @ kernel + bias)`` and
    ``h_z, h_r, h_g = split(h @ recurrent_kernel + recurrent_bias)``.

    Args:
        units: size of the output and of the state.
        activation, recurrent_activation: names or functions; None: none.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: initial weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: added to
            the losses.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
        dropout, recurrent_dropout: shares of the inputs, and of the state, that are set to 0 in
            training: the same in all steps of a sequence.
        seed: int, or None for other numbers in each run.
        return_sequences, return_state, go_backwards, stateful, unroll: as in `RNN`.
        reset_after: whether ``r`` is applied after the product with the recurrent kernel (and a
            second bias), or to ``h`` before it.
        use_cudnn: accepted for Keras's signature; XLA compiles the loop.
        implementation: 1: each gate drops other inputs; 2: all the same. Nothing else differs.

    Input: ``(batch, steps, features)``; output: ``(batch, units)``, or all steps.

    Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GRU(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable[[Any], Any] | None = "tanh",
        recurrent_activation: str | Callable[[Any], Any] | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: str | bool = "auto",
        implementation: int = 2,
        **kwargs,
    ):
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
            recurrent_dropout, reset_after, seed, implementation,
            dtype=kwargs.get("dtype"), trainable=kwargs.get("trainable", True), name="gru_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self._check_use_cudnn(use_cudnn)
        self.input_spec = InputSpec(ndim=3)
