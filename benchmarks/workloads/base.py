"""What a workload is: data, initial weights, and one model written for every framework.

A workload knows nothing about time. It gives the same arrays to everyone, and for each framework
the model as a user of that framework would write it. The loops are in `benchmarks/frameworks`.

- **weights**: a list of NumPy arrays in the order of Keras's `get_weights()`; everybody starts
  from them.
- **loss**: ``"mse"`` or ``"cross_entropy"`` (integer labels, logits), the mean over the batch.
- **step** of a JAX framework: takes a state and a batch, returns the state and the batch's loss.
"""

import dataclasses
import functools
import math
from typing import ClassVar

import numpy as np

# Keras adds Adam's epsilon at another place than optax and torch do. One so small that its place
# makes no difference lets losses be compared.
EPSILON = 1e-9


@dataclasses.dataclass(frozen=True)
class Workload:
    """One model on one set of data; subclasses add their sizes as fields."""

    rows: int
    batch: int

    name: ClassVar[str]
    title: ClassVar[str]
    loss: ClassVar[str]
    optimizer: ClassVar[tuple[str, float]]
    precision: ClassVar[str] = "float32"  # "mixed_bfloat16": computes in bfloat16
    # Relative difference of the first losses that rounding explains; it may grow in proportion to
    # the number of epochs.
    tolerance: ClassVar[float] = 5e-4
    contestants: ClassVar[tuple[str, ...] | None] = None  # names of those that take part; or all

    @property
    def steps(self):
        """Steps in one epoch; the last batch may be a smaller one."""
        return math.ceil(self.rows / self.batch)

    # What a subclass gives.

    def make_data(self, random):
        """Return `x` and `y`: NumPy arrays, or dicts of them, with `rows` rows."""
        raise NotImplementedError

    def make_weights(self, random):
        """Return the initial weights in Keras's order."""
        raise NotImplementedError

    def keras_layers(self, keras):
        """Return the model, not compiled, from the library `keras` (stepfit or Keras itself)."""
        raise NotImplementedError

    def jax_model(self, weights, x):
        """Return the predictions, in plain JAX."""
        raise NotImplementedError

    def nnx_model(self, weights):
        raise NotImplementedError

    def equinox_model(self, weights):
        """Return a model of one example; the loop maps it over the batch."""
        raise NotImplementedError

    def torch_model(self, weights):
        raise NotImplementedError

    def flops(self):
        """Return the floating-point operations of a step, or None: then XLA counts them."""
        return None

    # What follows from it.

    @functools.cached_property
    def data(self):
        return self.make_data(np.random.RandomState(0))

    @functools.cached_property
    def weights(self):
        return self.make_weights(np.random.RandomState(1))

    def keras_model(self, keras, **options):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            model = self.keras_layers(keras)
        finally:
            keras.config.set_dtype_policy(before)
        self.load(model, self.weights)
        loss = {
            "mse": keras.losses.MeanSquaredError,
            "cross_entropy": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        }[self.loss]()
        model.compile(optimizer=self.keras_optimizer(keras), loss=loss, **options)
        return model

    def load(self, model, weights):
        """Give a model of Keras's kind the initial weights."""
        model.set_weights(weights)

    def keras_optimizer(self, keras):
        kind, rate = self.optimizer
        if kind == "sgd":
            return keras.optimizers.SGD(rate)
        return keras.optimizers.Adam(rate, epsilon=EPSILON)

    def epoch_losses(self, history):
        """Return the loss of each epoch from the history of `fit`."""
        return history["loss"]

    def optax_optimizer(self):
        import optax

        kind, rate = self.optimizer
        return optax.sgd(rate) if kind == "sgd" else optax.adam(rate, eps=EPSILON)

    def jax_loss(self, y, predictions):
        import jax.numpy as jnp
        import optax

        if self.loss == "mse":
            return jnp.mean((predictions - y) ** 2)
        losses = optax.softmax_cross_entropy_with_integer_labels(
            predictions.astype(jnp.float32), y
        )
        return jnp.mean(losses)

    def jax_state(self):
        import jax

        weights = jax.tree.map(jax.numpy.array, self.weights)
        return weights, self.optax_optimizer().init(weights)

    def jax_step(self, state, batch):
        import jax
        import optax

        x, y = batch

        def loss_of(weights):
            return self.jax_loss(y, self.jax_model(weights, x))

        weights, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        updates, slots = self.optax_optimizer().update(gradients, slots, weights)
        return (optax.apply_updates(weights, updates), slots), loss

    def nnx_state(self):
        from flax import nnx

        model = self.nnx_model(self.weights)
        return model, nnx.Optimizer(model, self.optax_optimizer(), wrt=nnx.Param)

    def nnx_step(self, state, batch):
        """Change model and optimizer; return the loss."""
        from flax import nnx

        model, optimizer = state
        x, y = batch
        loss, gradients = nnx.value_and_grad(lambda m: self.jax_loss(y, m(x)))(model)
        optimizer.update(model, gradients)
        return loss

    def equinox_state(self):
        import equinox as eqx

        model = self.equinox_model(self.weights)
        return model, self.optax_optimizer().init(eqx.filter(model, eqx.is_inexact_array))

    def equinox_step(self, state, batch):
        import equinox as eqx
        import jax

        model, slots = state
        x, y = batch
        loss, gradients = eqx.filter_value_and_grad(
            lambda m: self.jax_loss(y, jax.vmap(m)(x))
        )(model)
        updates, slots = self.optax_optimizer().update(gradients, slots)
        return (eqx.apply_updates(model, updates), slots), loss

    def torch_state(self):
        model = self.torch_model(self.weights)
        return model, self.torch_optimizer(model.parameters())

    def torch_step(self, state, batch):
        """Change model and optimizer; return the loss."""
        model, optimizer = state
        x, y = batch
        optimizer.zero_grad()
        loss = self.torch_loss(y, model(x))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def torch_optimizer(self, parameters):
        import torch

        kind, rate = self.optimizer
        if kind == "sgd":
            return torch.optim.SGD(parameters, rate)
        return torch.optim.Adam(parameters, rate, eps=EPSILON)

    def torch_loss(self, y, predictions):
        import torch

        functions = {
            "mse": torch.nn.functional.mse_loss,
            "cross_entropy": torch.nn.functional.cross_entropy,
        }
        return functions[self.loss](predictions, y)

    def torch_inputs(self, x):
        """Return `x` as torch wants it (channels before height and width, for instance)."""
        return x


def glorot(random, *shape):
    """Return values with the spread of Keras's default initializer."""
    limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
    return random.uniform(-limit, limit, shape).astype("float32")


def zeros(*shape):
    return np.zeros(shape, "float32")
