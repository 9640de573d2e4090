"""A training loop of your own: plain JAX around a stepfit model, without `fit()`.

The step is a pure function under `jax.jit`. Variables go straight into it, because each is a pytree
that stands for its value; plain arrays come out. `model.set_state(state)` writes them back. The
second loop does the same with an optax optimizer and lets JAX differentiate the loss directly.
"""

import argparse

import jax
import numpy as np
import optax

import stepfit as keras


def make_model():
    return keras.Sequential([
        keras.Input((8, 8)),
        keras.layers.Rescaling(1 / 16),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10),
    ])  # fmt: skip


def batches(x, y, size, rng):
    order = rng.permutation(len(x))
    for start in range(0, len(x) - size + 1, size):
        chosen = order[start : start + size]
        yield x[chosen], y[chosen]


def accuracy(model, x, y):
    return float(np.mean(model.predict(x, verbose=0).argmax(-1) == y))


def with_stepfit_optimizer(model, x, y, epochs):
    """Train with an optimizer and a metric of stepfit; return the accuracy of each epoch."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(3e-3)
    metric = keras.metrics.SparseCategoricalAccuracy()
    model.compile(optimizer=optimizer, loss=loss_fn, metrics=[metric])
    optimizer.build(model.trainable_variables)

    def loss_and_updates(trainable, non_trainable, metric_values, x, y):
        y_pred, non_trainable = model.stateless_call(trainable, non_trainable, x, training=True)
        metric_values = metric.stateless_update_state(metric_values, y, y_pred)
        return loss_fn(y, y_pred), (non_trainable, metric_values)

    grad_fn = jax.value_and_grad(loss_and_updates, has_aux=True)

    @jax.jit
    def train_step(state, x, y):
        trainable, non_trainable, slots, metric_values = state
        (loss, (non_trainable, metric_values)), grads = grad_fn(
            trainable, non_trainable, metric_values, x, y
        )
        trainable, slots = optimizer.stateless_apply(slots, grads, trainable)
        return loss, (trainable, non_trainable, slots, metric_values)

    rng = np.random.default_rng(0)
    state = (
        model.trainable_variables,  # Variables, as they are
        model.non_trainable_variables,
        optimizer.variables,
        metric.variables,
    )
    history = []
    for epoch in range(epochs):
        for x_batch, y_batch in batches(x, y, 32, rng):
            loss, state = train_step(state, x_batch, y_batch)
        *rest, metric_values = state
        history.append(float(metric.stateless_result(metric_values)))
        state = (*rest, metric.stateless_reset_state())
        print(f"epoch {epoch + 1}: loss {loss:.3f}, accuracy {history[-1]:.3f}")

    trainable, non_trainable, *_ = state
    model.set_state((trainable, non_trainable))
    return history


def with_optax(model, x, y, epochs):
    """Train with an optax optimizer; return the mean loss of each epoch."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(3e-3))

    def loss_and_updates(trainable, non_trainable, x, y):
        y_pred, non_trainable = model.stateless_call(trainable, non_trainable, x, training=True)
        return loss_fn(y, y_pred), non_trainable

    @jax.jit
    def train_step(state, x, y):
        trainable, non_trainable, slots = state
        (loss, non_trainable), grads = jax.value_and_grad(loss_and_updates, has_aux=True)(
            trainable, non_trainable, x, y
        )
        updates, slots = tx.update(grads, slots, trainable)
        return loss, (optax.apply_updates(trainable, updates), non_trainable, slots)

    rng = np.random.default_rng(0)
    trainable, non_trainable = model.get_state("predict")  # the values, as lists of arrays
    state = (trainable, non_trainable, tx.init(trainable))
    history = []
    for epoch in range(epochs):
        losses = []
        for x_batch, y_batch in batches(x, y, 32, rng):
            loss, state = train_step(state, x_batch, y_batch)
            losses.append(loss)
        history.append(float(np.mean(losses)))
        print(f"epoch {epoch + 1}: loss {history[-1]:.3f}")

    trainable, non_trainable, _ = state
    model.set_state((trainable, non_trainable))
    return history


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args(argv)

    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    results = {}
    for train in (with_stepfit_optimizer, with_optax):
        print(train.__name__)
        keras.utils.set_random_seed(0)
        model = make_model()
        history = train(model, x_train, y_train, args.epochs)
        results[train.__name__] = history, accuracy(model, x_test, y_test)
        print(f"test accuracy {results[train.__name__][1]:.3f}")
    return results


if __name__ == "__main__":
    main()
