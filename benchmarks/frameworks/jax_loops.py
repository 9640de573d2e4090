"""Plain JAX by hand: a loop over a jitted step, and a scan over data that lies on the device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.frameworks.batches import joined, on_device, size, stacked, views


class _ByHand:
    def __init__(self, workload):
        self.workload = workload
        self.state = workload.jax_state()
        self.weights = self.state[0]  # what evaluate and predict use; they never train

    def _add_step(self, carry, batch):
        state, total = carry
        state, loss = self.workload.jax_step(state, batch)
        return state, total + loss * size(batch)

    def _predictions(self, weights, x):
        return self.workload.jax_model(weights, x)

    def _add_loss(self, weights, total, batch):
        x, y = batch
        return total + self.workload.jax_loss(y, self._predictions(weights, x)) * size(batch)


class Loop(_ByHand):
    """State donated, one call for each batch, the loss summed up on the device."""

    def __init__(self, workload):
        super().__init__(workload)
        self.batches = views(workload.data, workload.batch)
        self.step = jax.jit(self._add_step, donate_argnums=0)
        self.test = jax.jit(self._add_loss)
        self.forward = jax.jit(self._predictions)

    def train(self, times):
        return [self._epoch() for _ in range(times)]

    train_again = train

    def _epoch(self):
        carry = self.state, np.float32(0)
        for batch in self.batches:
            carry = self.step(carry, batch)
        self.state, total = carry
        return float(total) / self.workload.rows

    def evaluate(self, times):
        losses = []
        for _ in range(times):
            total = np.float32(0)
            for batch in self.batches:
                total = self.test(self.weights, total, batch)
            losses.append(float(total) / self.workload.rows)
        return losses

    def predict(self, times):
        return [joined([self.forward(self.weights, x) for x, _ in self.batches])
                for _ in range(times)]  # fmt: skip

    def train_on_batch(self, times):
        losses = []
        for _ in range(times):
            self.state, total = self.step((self.state, np.float32(0)), self.batches[0])
            losses.append(float(total) / self.workload.batch)
        return losses

    def predict_on_batch(self, times):
        x, _ = self.batches[0]
        return [np.asarray(self.forward(self.weights, x)) for _ in range(times)]

    call = predict_on_batch


class Scan(_ByHand):
    """One call for each epoch."""

    def __init__(self, workload):
        super().__init__(workload)
        self.data = on_device(stacked(workload.data, workload.batch))

    def train(self, times):
        losses = []
        for _ in range(times):
            self.state, loss = self._epoch(self.state, *self.data)
            losses.append(float(loss))
        return losses

    train_again = train

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
    def _epoch(self, state, batches, rest):
        def body(carry, batch):
            return self._add_step(carry, batch), None

        carry, _ = lax.scan(body, (state, jnp.float32(0)), batches)
        if rest is not None:
            carry = self._add_step(carry, rest)
        state, total = carry
        return state, total / self.workload.rows

    def evaluate(self, times):
        return [float(self._evaluate(self.weights, *self.data)) for _ in range(times)]

    @functools.partial(jax.jit, static_argnums=0)
    def _evaluate(self, weights, batches, rest):
        def body(total, batch):
            return self._add_loss(weights, total, batch), None

        total, _ = lax.scan(body, jnp.float32(0), batches)
        if rest is not None:
            total = self._add_loss(weights, total, rest)
        return total / self.workload.rows

    def predict(self, times):
        (x, _), rest = self.data
        rest = None if rest is None else rest[0]
        return [np.asarray(self._predict(self.weights, x, rest)) for _ in range(times)]

    @functools.partial(jax.jit, static_argnums=0)
    def _predict(self, weights, batches, rest):
        outputs = lax.map(lambda x: self._predictions(weights, x), batches)
        outputs = outputs.reshape(-1, *outputs.shape[2:])
        if rest is None:
            return outputs
        return jnp.concatenate([outputs, self._predictions(weights, rest)])
