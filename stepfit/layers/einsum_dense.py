"""EinsumDense: a dense layer over whichever axes an einsum equation says."""

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import activations, constraints, initializers, regularizers
from stepfit.core import errors
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class EinsumDense(Layer):
    """``activation(einsum(equation, x, kernel) + bias)``.

    Args:
        equation: such as ``"abc,cd->abd"``; ``...`` may stand for axes before, or after, the named
            ones of the input and the output.
        output_shape: size of each named output axis but the batch; None: as the input's axis of
            that letter.
        activation: name or function; None: none.
        bias_axes: letters of the output axes that have a bias each; None: no bias.
        kernel_initializer, bias_initializer: initial weights.
        kernel_regularizer, bias_regularizer: added to the losses.
        kernel_constraint, bias_constraint: applied after each update.

    Raises:
        ValueError: an equation of another form, or letters and sizes that do not fit.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.EinsumDense("abc,cde->abde", (None, 4, 8), bias_axes="de")
    >>> layer(np.ones((2, 5, 3))).shape, layer.kernel.shape, layer.bias.shape
    ((2, 5, 4, 8), (3, 4, 8), (4, 8))
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: str | Callable[[Any], Any] | None = None,
        bias_axes: str | None = None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = (
            (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        )
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._plain = _parse(equation)[3]

    def build(self, input_shape):
        shapes = _Shapes(self, tuple(input_shape))
        initializer = self.kernel_initializer
        if isinstance(initializer, initializers.VarianceScaling) and (
            initializer.input_axes is None or initializer.output_axes is None
        ):
            axes = {"input_axes": shapes.input_axes, "output_axes": shapes.output_axes}
            config = {**initializer.get_config(), "seed": initializer.seed, **axes}
            initializer = type(initializer).from_config(config)
        self.kernel = self.add_weight(
            name="kernel",
            shape=shapes.kernel,
            initializer=initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.bias_axes is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=shapes.bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(ndim=len(input_shape))

    def call(self, inputs):
        kernel = self.kernel.value
        if self._plain:
            x = _matrix_product(inputs, kernel, self._plain)
        else:
            x = jnp.einsum(self.equation, inputs, kernel)
        if self.bias is not None:
            x = x + self.bias.value
        return x if self.activation is None else self.activation(x)


def _matrix_product(x, kernel, bound):
    """Contract the last `bound` axes of `x` with the first of `kernel`, as one matrix product.

    The gradients are matrix products then too, which XLA's CPU compiler does without copies:
    a twentieth of the time of an attention layer's training.
    """
    free, out = x.shape[: x.ndim - bound], kernel.shape[bound:]
    size = 1
    for n in kernel.shape[:bound]:
        size *= n
    product = x.reshape(-1, size) @ kernel.reshape(size, -1)
    return product.reshape(*free, *out)


def _parse(equation):
    """Return the letters of input, kernel and output, and on how many axes they meet.

    That is a number where the last axes of the input meet the first of the kernel and the rest
    follow in order; 0 for other products.
    """
    form = r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?"
    found = re.fullmatch(form, equation.replace(" ", ""))
    dots = found and found.group(1, 3)
    if not found or dots != found.group(5, 7) or dots == ("...", "..."):
        raise errors.bad_value(
            "EinsumDense(equation)", "'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...'",
            repr(equation),
        )  # fmt: skip
    x, kernel, output = found[2], found[4], found[6]
    bound = sum(letter in kernel for letter in x)
    meet = bound and x[-bound:] == kernel[:bound] and not found[3]
    plain = meet and output == x[:-bound] + kernel[bound:] and len(set(x)) == len(x)
    return x, kernel, output, bound if plain else 0


class _Shapes:
    """The shapes of a layer's weights, for one shape of its input."""

    def __init__(self, layer, input_shape):
        x, kernel, output, _ = _parse(layer.equation)
        where = f"{layer._where()} equation {layer.equation!r}"
        elided = len(input_shape) - len(x)
        left = layer.equation.lstrip().startswith("...")
        if elided < 0 or (elided and "..." not in layer.equation):
            raise errors.bad_value(f"{where} input", f"{len(x)} axes", f"shape {input_shape}")
        named = input_shape[elided:] if left else input_shape[: len(x)]
        sizes = dict(zip(x, named, strict=True))
        # The batch is the input's first axis, whether it has a letter or stands for one of "...".
        given = layer.partial_output_shape
        letters = output if left and elided else output[1:]
        if len(given) != len(letters):
            raise errors.bad_value(
                f"{where} output_shape", f"a size for each of {letters!r}", f"{given}"
            )
        for letter, size in zip(letters, given, strict=True):
            if letter in sizes and size is not None and sizes[letter] != size:
                raise errors.bad_value(
                    f"{where} axis {letter!r}", f"size {size}, as output_shape says",
                    f"{sizes[letter]} in the input's shape {input_shape}",
                )  # fmt: skip
            sizes[letter] = sizes.get(letter) if size is None else size
        for letter in output:
            if letter not in x and letter not in kernel:
                raise errors.bad_value(
                    where, "each letter of the output in the input or the kernel", repr(letter)
                )
        self.kernel: tuple[Any, ...] = tuple(sizes.get(letter) for letter in kernel)
        for letter, size in zip(kernel, self.kernel, strict=True):
            if size is None:
                raise errors.bad_value(
                    f"{where} axis {letter!r} of the kernel", "a known size", "none",
                    "give it in output_shape or in the Input's shape",
                )  # fmt: skip
        self.output_axes = [i for i, letter in enumerate(kernel) if letter in output]
        self.input_axes = [i for i, letter in enumerate(kernel) if letter not in output]
        self.bias = None
        if layer.bias_axes is not None:
            unknown = [letter for letter in layer.bias_axes if letter not in output]
            if unknown or not layer.bias_axes:
                raise errors.bad_value(
                    f"{where} bias_axes", f"letters of the output {output!r}",
                    repr(layer.bias_axes),
                )  # fmt: skip
            first = min(output.index(letter) for letter in layer.bias_axes)
            self.bias = tuple(
                sizes[letter] if letter in layer.bias_axes else 1 for letter in output[first:]
            ) + (1,) * (0 if left else elided)
