"""Dense, Embedding, and layers that wrap a function or a mask."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stepfit import activations, constraints, initializers, ops, regularizers
from stepfit.core import errors, registry
from stepfit.core import scope as scopes
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class Dense(Layer):
    """Fully connected layer: ``activation(x @ kernel + bias)`` over the last axis.

    Args:
        units: size of the output's last axis.
        activation: name or function; None: none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initial weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: added to the losses.
        kernel_constraint, bias_constraint: applied after each update.

    Input: ``(batch, ..., features)``; output: ``(batch, ..., units)``.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.Dense(4, activation="relu")
    >>> layer(np.ones((2, 3))).shape, layer.count_params()
    ((2, 4), 16)
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable[[Any], Any] | None = None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = arguments.positive_int(units, "Dense(units)")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs):
        x = jnp.matmul(inputs, self.kernel.value)
        if self.bias is not None:
            x = x + self.bias.value
        return x if self.activation is None else self.activation(x)


class Embedding(Layer):
    """Table of vectors, looked up by integers: ``embeddings[x]``.

    Args:
        input_dim: number of rows; valid inputs are ``0 ... input_dim - 1``.
        output_dim: length of each vector.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: as in `Dense`.
        mask_zero: whether 0 means "nothing here" and is masked from the layers that follow.
        weights: initial table, shape ``(input_dim, output_dim)``, or None.

    Input: integers of any shape; output: ``(*shape, output_dim)``.

    Raises:
        ValueError: outside compiled code, for integers beyond the table.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        weights=None,
        **kwargs,
    ):
        kwargs.pop("input_length", None)  # tf.keras took the length of the sequences
        kwargs.setdefault("autocast", False)  # a 16-bit float does not hold every index
        super().__init__(**kwargs)
        self.input_dim = arguments.positive_int(input_dim, "Embedding(input_dim)")
        self.output_dim = arguments.positive_int(output_dim, "Embedding(output_dim)")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._given_weights = weights
        if weights is not None:
            self._given_weights = weights if isinstance(weights, list) else [weights]

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        if self._given_weights is not None:
            self.set_weights(self._given_weights)

    def call(self, inputs):
        index = inputs if jnp.issubdtype(inputs.dtype, jnp.integer) else inputs.astype("int32")
        if not isinstance(index, jax.core.Tracer) and index.size:
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= self.input_dim:
                raise errors.bad_value(
                    f"{self._where()} input", f"integers in [0, {self.input_dim - 1}]",
                    f"{low if low < 0 else high}", "raise input_dim or check the vocabulary",
                )  # fmt: skip
        else:  # compiled code cannot raise: an index beyond the table gives NaN
            scopes.note_range(inputs, 0, self.input_dim - 1, self._where(), "input_dim")
            if jnp.issubdtype(index.dtype, jnp.signedinteger):
                index = index if index.dtype.itemsize >= 4 else index.astype("int32")
                index = jnp.where(index < 0, jnp.iinfo(index.dtype).max, index)
        return jnp.take(self.embeddings.value, index, axis=0)

    def compute_mask(self, inputs, previous_mask=None):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self):
        config = super().get_config()
        config["weights"] = None  # values belong in the saved weights
        return config


class Activation(Layer):
    """An activation function as a layer.

    Args:
        activation: name or function.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Activation("relu")(np.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True

    def call(self, inputs):
        return inputs if self.activation is None else self.activation(inputs)


class Identity(Layer):
    """Returns its input, masks included.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Identity()(np.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs


class Function(Layer):
    """A plain function of arrays as a layer: no code is stored, only the function's name.

    Args:
        function: function of the inputs (and of `training`, if it has such a parameter); or the
            name under which one was registered with `saving.register_keras_serializable`.
        **kwargs: the layer's own arguments, such as `name`.

    Input and output: whatever the function takes and returns.

    >>> import numpy as np, stepfit as keras
    >>> double = keras.layers.Function(lambda x: 2 * x)
    >>> double(np.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, function, **kwargs):
        if isinstance(function, str):
            name, function = function, registry.get_registered_object(function)
            if function is None:
                raise errors.bad_value(
                    "Function(function)", "a function or the name of a registered one", repr(name),
                    "register it with saving.register_keras_serializable",
                )  # fmt: skip
        if not callable(function):
            raise errors.bad_type("Function(function)", "a function", errors.describe(function))
        super().__init__(**kwargs)
        self.function = function
        self.supports_masking = True
        self._wants_training = _takes_training(function)

    def call(self, *inputs, training=None):
        if self._wants_training:
            return self.function(*inputs, training=training)
        return self.function(*inputs)


def _takes_training(function):
    try:
        return "training" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without a signature
        return False


class Masking(Layer):
    """Masks the steps of a sequence whose features all equal `mask_value`, and sets them to 0.

    Args:
        mask_value: the value that means "nothing here".

    Input and output: ``(batch, steps, features)``; the mask: ``(batch, steps)``.

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.Masking()(np.array([[[1.0], [0.0]]]))
    >>> y._keras_mask.tolist()
    [[True, False]]
    """

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs):
        seen = jnp.any(inputs != self.mask_value, axis=-1, keepdims=True)
        return jnp.where(seen, inputs, 0)


class Lambda(Layer):
    """A function as a layer.

    Args:
        function: function of the inputs; if it has arguments `mask` or `training`, it gets them.
        output_shape: accepted for Keras's signature; shapes are found by tracing the function.
        mask: mask of the output, or a function ``(inputs, mask)`` that returns it.
        arguments: dict of further arguments of the function.

    Raises:
        TypeError: `function` is not callable, as after loading a config of a function that is not
            registered.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Lambda(lambda x: x**2)(np.array([[2.0, 3.0]])).tolist()
    [[4.0, 9.0]]
    """

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        if not callable(function):
            raise errors.bad_type(
                "Lambda(function)", "a function", errors.describe(function),
                "decorate it with @keras.saving.register_keras_serializable() to load it by name",
            )  # fmt: skip
        super().__init__(**kwargs)
        self.function = function
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        try:
            names = set(inspect.signature(function).parameters)
        except ValueError:  # a builtin without a signature
            names = set()
        self._handed = [name for name in ("mask", "training") if name in names]

    def call(self, inputs, mask=None, training=None):
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{n: given[n] for n in self._handed})

    def compute_mask(self, inputs, previous_mask=None):
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask
