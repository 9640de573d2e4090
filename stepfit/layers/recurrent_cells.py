"""Cells: what a recurrent layer does in one time step."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import activations, constraints, initializers, random, regularizers
from stepfit.core import errors
from stepfit.core.variable import Variable
from stepfit.layers import arguments
from stepfit.layers.layer import Layer


def rate(value, where):
    """Return a dropout rate in [0, 1], or raise naming the argument."""
    return 1 if value == 1 and not isinstance(value, bool) else arguments.share(value, where)


class NoisyCell(Layer):
    """Base of cells with dropout: noise is drawn once for all steps of a sequence.

    A recurrent layer calls `draw_noise` before its loop, and hands the noise to each step. A cell
    that is called alone draws its own.
    """

    _gates = 1  # parts of the kernels, which may be given noise of their own
    seed: int | None
    state_size: Any

    def _set_noise(self, dropout, recurrent_dropout, seed, per_gate):
        name = type(self).__name__
        self.dropout = rate(dropout, f"{name}(dropout)")
        self.recurrent_dropout = rate(recurrent_dropout, f"{name}(recurrent_dropout)")
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self._copies = self._gates if per_gate else 1

    def draw_noise(self, inputs: Any, states: Any) -> tuple[Any, ...]:
        """Return the factors of the inputs and of the first state: 0 or ``1 / (1 - rate)``.

        Args:
            inputs, states: arrays, of which shapes and dtypes count.

        Returns:
            two arrays ``(copies, *shape)``, None where nothing is dropped.
        """
        return tuple(
            random.dropout(jnp.ones((self._copies, *x.shape), x.dtype), rate,
                           seed=self.seed_generator) if rate else None
            for x, rate in ((inputs, self.dropout), (_first(states), self.recurrent_dropout))
        )  # fmt: skip

    def _noise(self, inputs, states, training, noise):
        if noise is None and training:
            noise = self.draw_noise(inputs, states)
        return noise or (None, None)

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zeros for a batch."""
        sizes: Any = self.state_size
        sizes = sizes if isinstance(sizes, list) else [sizes]
        return [jnp.zeros((batch_size, size), self.compute_dtype) for size in sizes]


class GatedCell(NoisyCell):
    """Base of cells with a kernel, a recurrent kernel and a bias; `_gates` blocks each."""

    kernel: Variable
    recurrent_kernel: Variable
    bias: Variable | None
    bias_initializer: Any

    def _set_up(self, units, activation, use_bias, **settings):
        """Keep the settings; ``{name}_initializer=...`` and the like are looked up."""
        self.units = arguments.positive_int(units, f"{type(self).__name__}(units)")
        self.activation = activations.get(activation) or activations.linear
        self.use_bias = use_bias
        self.output_size = self.units
        families = {
            "initializer": initializers, "regularizer": regularizers, "constraint": constraints
        }  # fmt: skip
        for name, value in settings.items():
            setattr(self, name, families[name.rpartition("_")[2]].get(value))

    def _weight(self, name, shape, initializer=None):
        settings = "recurrent" if name == "recurrent_kernel" else name
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or getattr(self, f"{settings}_initializer"),
            regularizer=getattr(self, f"{settings}_regularizer"),
            constraint=getattr(self, f"{settings}_constraint"),
        )

    def _bias_shape(self):
        return (self._gates * self.units,)

    def _bias_start(self):
        return None  # as `bias_initializer` says

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise errors.bad_value(
                f"{self._where()} input axis -1", "a known number of features", "None",
                "give the Input its features",
            )  # fmt: skip
        width = self._gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width))
        self.bias = None
        if self.use_bias:
            self.bias = self._weight("bias", self._bias_shape(), self._bias_start())


def project(x, kernel, noise):
    """``x @ kernel``; each of the copies of noise is for one block of the kernel's columns."""
    if noise is None:
        return x @ kernel
    blocks = jnp.split(kernel, len(noise), axis=-1)
    return jnp.concatenate([(x * n) @ k for n, k in zip(noise, blocks, strict=True)], -1)


def _first(states):
    """Return the first of some states, which may be one array alone."""
    return states[0] if isinstance(states, (list, tuple)) else states


def _as_given(output, states):
    """Return an output as the only state, in a list where states come in one."""
    return [output] if isinstance(states, (list, tuple)) else output


class SimpleRNNCell(GatedCell):
    """One step of `SimpleRNN`: ``activation(x @ kernel + h @ recurrent_kernel + bias)``.

    Args:
        units: size of the output and of the state.
        activation, use_bias, kernel_initializer, ...: as in `SimpleRNN`.

    Call arguments:
        inputs: ``(batch, features)``.
        states: ``[(batch, units)]``.

    Returns:
        ``(output, [output])``.

    >>> import numpy as np, stepfit as keras
    >>> output, states = keras.layers.SimpleRNNCell(4)(np.ones((2, 3)), [np.zeros((2, 4))])
    >>> output.shape, len(states)
    ((2, 4), 1)
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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_up(
            units, activation, use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self._set_noise(dropout, recurrent_dropout, seed, per_gate=False)
        self.state_size = self.units

    def call(self, inputs, states, training=False, noise=None):
        noise_x, noise_h = self._noise(inputs, states, training, noise)
        x = project(inputs, self.kernel.value, noise_x)
        if self.bias is not None:
            x = x + self.bias.value
        output = self.activation(x + project(_first(states), self.recurrent_kernel.value, noise_h))
        return output, _as_given(output, states)


class LSTMCell(GatedCell):
    """One step of `LSTM`.

    ``i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias)``;
    ``c = s(f) * c + s(i) * a(g)``; ``h = s(o) * a(c)`` with ``a`` the activation and ``s`` the
    recurrent activation.

    Args:
        units: size of the output and of both states.
        activation, recurrent_activation, use_bias, unit_forget_bias, ...: as in `LSTM`.

    Call arguments:
        inputs: ``(batch, features)``.
        states: ``[h, c]``, each ``(batch, units)``.

    Returns:
        ``(h, [h, c])``.

    >>> import numpy as np, stepfit as keras
    >>> zeros = np.zeros((2, 4))
    >>> output, states = keras.layers.LSTMCell(4)(np.ones((2, 3)), [zeros, zeros])
    >>> output.shape, len(states)
    ((2, 4), 2)
    """

    _gates = 4

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        implementation: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_up(
            units, activation, use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation) or activations.linear
        self.unit_forget_bias = unit_forget_bias
        self.implementation = 1 if recurrent_dropout else implementation
        self._set_noise(dropout, recurrent_dropout, seed, per_gate=self.implementation == 1)
        self.state_size = [self.units, self.units]

    def _bias_start(self):
        return forget_bias(self.bias_initializer, self.units) if self.unit_forget_bias else None

    def call(self, inputs, states, training=False, noise=None):
        h, c = states
        noise_x, noise_h = self._noise(inputs, states, training, noise)
        z = project(inputs, self.kernel.value, noise_x)
        z = z + project(h, self.recurrent_kernel.value, noise_h)
        if self.bias is not None:
            z = z + self.bias.value
        return lstm_step(jnp.split(z, 4, axis=-1), c, self.activation, self.recurrent_activation)


def forget_bias(initializer, size):
    """Return the initializer of four gates' biases that starts the forget gate's at 1."""

    def start(shape, dtype=None):
        parts = initializer((size,), dtype), jnp.ones(size, dtype), initializer((2 * size,), dtype)
        return jnp.concatenate([jnp.asarray(p) for p in parts])

    return start


def lstm_step(gates, c, activation, recurrent_activation):
    """Return ``(h, [h, c])`` for the four gates, before their activations, and the old ``c``."""
    i, f, g, o = gates
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    h = recurrent_activation(o) * activation(c)
    return h, [h, c]


class GRUCell(GatedCell):
    """One step of `GRU`.

    ``z = s(x_z + h_z)``; ``r = s(x_r + h_r)``; ``g = a(x_g + r * h_g)``;
    ``h = z * h + (1 - z) * g``, where ``x_z, x_r, x_g = split(x @ kernel + bias)`` and
    ``h_z, h_r, h_g = split(h @ recurrent_kernel + recurrent_bias)``. With ``reset_after=False``
    there is no recurrent bias, and ``r`` is applied to ``h`` before the product for ``h_g``.

    Args:
        units: size of the output and of the state.
        activation, recurrent_activation, use_bias, reset_after, ...: as in `GRU`.

    Call arguments:
        inputs: ``(batch, features)``.
        states: ``[(batch, units)]``.

    Returns:
        ``(h, [h])``.

    >>> import numpy as np, stepfit as keras
    >>> output, states = keras.layers.GRUCell(4)(np.ones((2, 3)), [np.zeros((2, 4))])
    >>> output.shape, len(states)
    ((2, 4), 1)
    """

    _gates = 3

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        implementation: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_up(
            units, activation, use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation) or activations.linear
        self.reset_after = reset_after
        self.implementation = 1 if recurrent_dropout else implementation
        self._set_noise(dropout, recurrent_dropout, seed, per_gate=self.implementation == 1)
        self.state_size = self.units

    def _bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def call(self, inputs, states, training=False, noise=None):
        h = _first(states)
        noise_x, noise_h = self._noise(inputs, states, training, noise)
        x = project(inputs, self.kernel.value, noise_x)
        kernel, bias = self.recurrent_kernel.value, None
        if self.bias is not None:
            bias = self.bias.value
            x = x + (bias[0] if self.reset_after else bias)
        x_z, x_r, x_g = jnp.split(x, 3, axis=-1)
        if self.reset_after:
            inner = project(h, kernel, noise_h)
            h_z, h_r, h_g = jnp.split(inner if bias is None else inner + bias[1], 3, axis=-1)
        else:
            edge = 2 * self.units
            gates = project(h, kernel[:, :edge], None if noise_h is None else noise_h[:2])
            h_z, h_r = jnp.split(gates, 2, axis=-1)
        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        if self.reset_after:
            h_g = r * h_g
        else:
            h_g = project(r * h, kernel[:, edge:], None if noise_h is None else noise_h[2:])
        output = z * h + (1 - z) * self.activation(x_g + h_g)
        return output, _as_given(output, states)
