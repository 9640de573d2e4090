"""The public API as typed code uses it: mypy must accept all of this, and it must run."""

from typing import Any, assert_type

import jax
import numpy as np
import optax

import stepfit as keras
from stepfit import callbacks, layers


class Scale(layers.Layer):
    def __init__(self, start: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        assert_type(self.scale, keras.Variable)

    def call(self, x: jax.Array, training: bool = False) -> jax.Array:
        self.add_loss(1e-3 * keras.ops.sum(self.scale**2))
        return self.start * x * self.scale


class Scaled(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale()
        self.dense = layers.Dense(2, activation="relu")
        self.error = keras.metrics.Mean(name="error")

    def call(self, x: jax.Array, training: bool = False) -> Any:
        return self.dense(self.scale(x, training=training))


class Stateless(Scaled):
    def train_step(self, state: keras.TrainState, data: Any) -> tuple[dict, keras.TrainState]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        trainable, frozen = state.of(self)

        def loss(values: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
            y_pred, new = self.stateless_call(values, frozen, x, training=True)
            return self.compute_loss(x=x, y=y, y_pred=y_pred), new

        (value, frozen), grads = jax.value_and_grad(loss, has_aux=True)(trainable)
        trainable, moments = self.optimizer.stateless_apply(
            state.optimizer_variables, grads, trainable
        )
        state = state.replace(self, (trainable, frozen)).replace(self.optimizer, moments)
        self.error.update_state(value)
        return {"loss": value, "error": self.error.result()}, state


class Taped(Scaled):
    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        grads = tape.gradient(loss, self.trainable_variables)
        assert_type(self.trainable_variables, list[keras.Variable])
        self.optimizer.apply(grads, self.trainable_variables)
        self.error.update_state(loss)
        return self.compute_metrics(x, y, y_pred, sample_weight)


class StopAt(callbacks.Callback):
    def __init__(self, loss: float):
        super().__init__()
        self.loss = loss

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None and logs["loss"] < self.loss:
            self.model.stop_training = True


class Hinge(keras.Loss):
    def call(self, y_true: jax.Array, y_pred: jax.Array) -> jax.Array:
        return keras.ops.mean(keras.ops.relu(1 - y_true * y_pred), axis=-1)


class Largest(keras.Metric):
    def __init__(self, name: str = "largest", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.seen = self.add_variable((), initializer="zeros", name="seen")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.seen.assign(keras.ops.maximum(self.seen, keras.ops.max(y_pred)))

    def result(self) -> Any:
        return self.seen


@keras.op
def doubled(x: Any) -> Any:  # an array, or a KerasTensor
    return 2 * x


@keras.op(name="halved")
def half(x: Any) -> Any:
    return x / 2


def variables() -> None:
    v = keras.Variable([1.0, 2.0], dtype="float32", trainable=True, name="v")
    assert_type(v.value, jax.Array)
    assert_type(v.assign_add(1.0), keras.Variable)
    assert_type(v + 1, jax.Array)
    assert_type(2 * v @ v, jax.Array)
    assert_type(-v[0], jax.Array)
    assert_type(v.shape, tuple[int, ...])
    assert_type(v.path, str)
    total: jax.Array = v.sum()  # the methods of arrays

    def square() -> jax.Array:
        return (v * v).sum() + 0 * total

    value, gradients = keras.value_and_grad(square, [v])()
    assert_type(gradients, list[jax.Array])
    seeds = keras.random.SeedGenerator(seed=1)
    assert_type(seeds.next(), jax.Array)
    assert_type(seeds.state, keras.Variable)
    with keras.StatelessScope([(v, v.value * 2)]) as scope:
        v.assign(v * 3)
    assert np.allclose(scope.get_current_value(v), v.numpy() * 6)


def functional() -> keras.Model:
    x = keras.Input((4,), name="x")
    assert_type(x, keras.KerasTensor)
    hidden = layers.Dense(3, activation=keras.activations.tanh)(half(doubled(x + 1)))
    model = keras.Model(x, layers.Dense(2)(hidden), name="two_layers")
    assert_type(model.layers, list[layers.Layer])
    assert_type(model.count_params(), int)
    assert_type(model.get_layer("x").name, str)
    return model


def train(model: keras.Model, optimizer: Any = "sgd") -> dict[str, list[float]]:
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    model.compile(optimizer=optimizer, loss="mse", metrics=["mae"], jit_compile=True)
    history = model.fit(
        x, y, batch_size=4, epochs=2, verbose=0, validation_split=0.25, class_weight=None,
        callbacks=[StopAt(1e-9), callbacks.EarlyStopping(monitor="loss", patience=2)],
    )  # fmt: skip
    assert_type(history, callbacks.History)
    model.evaluate(x, y, verbose=0, return_dict=True)
    model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    state = model.get_state()
    assert_type(state, keras.TrainState)
    model.set_state(state)
    return history.history


def main() -> None:
    variables()
    train(functional(), keras.optimizers.Adam(learning_rate=1e-2, clipnorm=1.0))
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.9)
    train(keras.Sequential([layers.Dense(3), layers.Dense(2)]), keras.optimizers.SGD(rate))
    train(Stateless(), optax.adam(1e-3))
    train(Taped())
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile(optimizer=optax.sgd(0.1), loss=Hinge(), metrics=[Largest()])
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    model.summary(print_fn=lambda text: None)
