"""What recurrent layers promise beyond the table: states, masks, noise, cells of a user's own."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import stepfit
from stepfit import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 3)).astype("float32")
STEPS = np.array([[True, True, False, True], [False, True, True, False]])
H, C = (RNG.normal(size=(2, 5)).astype("float32") for _ in range(2))
KINDS = ["SimpleRNN", "GRU", "LSTM"]


def same(ours, theirs):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def both(name, **kwargs):
    """Our layer and real Keras's, built, with the same weights."""
    pair = [getattr(module, name)(5, **kwargs) for module in (layers, keras.layers)]
    for layer in pair:
        layer.build(X.shape)
    pair[1].set_weights(pair[0].get_weights())
    return pair


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("more", [
    {}, {"return_sequences": True, "go_backwards": True}, {"unroll": True},
    {"zero_output_for_mask": True},
])  # fmt: skip
def test_initial_states_and_masks_together(name, more):
    ours, theirs = both(name, return_state=True, **more)
    state = [H, C] if name == "LSTM" else [H]
    same(ours(X, initial_state=state), theirs(X, initial_state=state))
    if not more.get("unroll"):  # with a mask, Keras starts from 0 where it unrolls
        same(ours(X, initial_state=state, mask=STEPS), theirs(X, initial_state=state, mask=STEPS))


@pytest.mark.parametrize("name", KINDS)
def test_unrolled_loops_compute_the_same(name):
    layer = getattr(layers, name)(5, return_sequences=True)
    looped = layer(X, initial_state=[H, C][: 1 + (name == "LSTM")], mask=STEPS)
    layer.unroll = True
    same(layer(X, initial_state=[H, C][: 1 + (name == "LSTM")], mask=STEPS), looped)


@pytest.mark.parametrize("name", KINDS)
def test_states_are_kept_and_reset(name):
    ours, theirs = both(name, stateful=True)
    first = ours(X)
    same(first, theirs(X))
    same(ours(X), theirs(X))
    same(ours.states, theirs.states)
    ours.reset_state()
    same(ours(X), first)
    assert len(ours.weights) == 3 and len(ours.variables) == 4 + len(ours.states)


def test_states_are_kept_by_fit_predict_and_stateless_calls():
    def model(k, weights=None):
        made = k.Sequential([k.Input((4, 3), batch_size=2), k.layers.GRU(5, stateful=True)])
        if weights is not None:
            made.set_weights(weights)
        made.compile(k.optimizers.SGD(0.0), "mse")
        return made

    ours, x = model(stepfit), np.concatenate([X, X + 1, X - 1])
    layer = ours.layers[0]
    expected, total = [], layer.get_initial_state(2)
    for part in np.split(x, 3):
        for t in range(4):
            _, total = layer.cell(part[:, t], total)
        expected.append(np.asarray(total[0]))
    same(ours.predict(x, batch_size=2, verbose=0), np.concatenate(expected))
    same(layer.states, total)
    layer.reset_state()
    ours.fit(x, np.zeros((6, 5)), batch_size=2, shuffle=False, verbose=0)
    same(layer.states, total)
    y, state = layer.stateless_call(
        [v.value for v in layer.trainable_variables],
        [jnp.zeros(v.shape, v.dtype) for v in layer.non_trainable_variables], x[:2],
    )  # fmt: skip
    same(y, expected[0])
    same(state[0], expected[0])
    assert [w.shape for w in ours.weights] == [(3, 15), (5, 15), (2, 15)]


class Minimal(stepfit.layers.Layer):
    """A cell as Keras's documentation writes it."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")

    def call(self, inputs, states):
        output = stepfit.ops.matmul(inputs, self.kernel)
        output = output + stepfit.ops.matmul(states[0], self.recurrent)
        return output, [output]


def test_a_cell_of_a_users_own():
    cell = Minimal(5)
    layer = layers.RNN([cell, Minimal(2)], return_sequences=True)
    y, h, g = layer(X), np.zeros((2, 5)), np.zeros((2, 2))
    second = layer.cell.cells[1]
    for t in range(4):
        h = X[:, t] @ cell.kernel.numpy() + h @ cell.recurrent.numpy()
        g = h @ second.kernel.numpy() + g @ second.recurrent.numpy()
        same(y[:, t], g)
    assert layer.compute_output_shape((None, None, 3)) == (None, None, 2)


class Plain:
    """A cell that is no layer, and whose output is none of its states."""

    state_size, output_size = 3, 6

    def call(self, inputs, states):
        total = states[0] + inputs
        return jnp.concatenate([total, -total], -1), [total]


def test_a_cell_without_variables_whose_output_is_no_state():
    total = X.sum(1)
    for layer in (layers.RNN(Plain()), layers.RNN(Plain(), go_backwards=True)):
        same(layer(X), np.concatenate([total, -total], -1))
    shown = layers.RNN(Plain(), zero_output_for_mask=True)
    masked = (X * STEPS[..., None]).sum(1)
    expected = np.concatenate([masked, -masked], -1) * STEPS[:, -1:]
    same(shown(X, mask=STEPS), expected)
    with pytest.raises(ValueError) as caught:
        layers.RNN(Plain())(X, mask=STEPS)
    assert str(caught.value).startswith("RNN 'rnn") and str(caught.value).endswith(
        "' mask: expected a cell whose first state is its output, which a masked step repeats, "
        "found an output of shape (2, 6) beside a state of shape (2, 3); pass "
        "zero_output_for_mask=True."
    )


class Busy(Minimal):
    """A cell that draws numbers, counts, and adds losses, in each step."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.drop = layers.Dropout(0.5, seed=1)
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, inputs, states, training=False):
        self.count.assign(self.count + 1)
        self.add_loss(jnp.sum(inputs))
        output, states = super().call(self.drop(inputs, training=training), states)
        return output, states


def test_what_a_cell_assigns_and_adds_in_a_step_is_kept():
    layer = layers.RNN(Busy(5), return_sequences=True)
    x = np.ones((2, 4, 3), "float32")
    y = np.asarray(layer(x, training=True))
    assert float(layer.cell.count) == 4 and layer.cell.drop.seed_generator.state.numpy()[1] == 4
    np.testing.assert_allclose(layer.losses, [x.sum()], rtol=1e-6)
    layer.cell.recurrent.assign(np.zeros((5, 5)))
    y = np.asarray(layer(x, training=True))
    assert len({y[0, t].tobytes() for t in range(4)}) > 1  # other noise in each step
    model = stepfit.Sequential([stepfit.Input((4, 3)), layer])
    model.compile(stepfit.optimizers.SGD(0.0), "mse")
    history = model.fit(x, np.zeros((2, 4, 5)), epochs=2, verbose=0).history
    assert float(layer.cell.count) == 16 and min(history["loss"]) >= x.sum()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("implementation", [1, 2])
def test_dropout_is_the_same_in_all_steps_and_other_in_each_call(name, implementation):
    """Where each gate sees the inputs themselves, outputs are 0 where the inputs were dropped."""
    more = {} if name == "SimpleRNN" else {"implementation": implementation}
    layer = getattr(layers, name)(
        64, dropout=0.5, seed=1, recurrent_initializer="zeros", use_bias=False, activation=None,
        return_sequences=True, **more,
    )  # fmt: skip
    x = np.ones((2, 3, 64), "float32")
    layer.build(x.shape)
    kernel = layer.cell.kernel
    kernel.assign(np.tile(np.eye(64), kernel.shape[1] // 64))
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    kept = first != 0
    assert (kept == kept[:, :1]).all() and 0.2 < kept.mean() < 0.8
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer(x), layer(x))
    if name == "SimpleRNN":
        assert set(np.unique(first)) == {0.0, 2.0}


@pytest.mark.parametrize("name, gates", [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_noise_has_the_shape_and_the_mean_that_it_should(name, gates):
    layer = getattr(layers, name)(200, dropout=0.25, recurrent_dropout=0.5, seed=1)
    inputs, state = jnp.zeros((20, 300)), jnp.zeros((20, 200))
    noise_x, noise_h = layer.cell.draw_noise(inputs, [state])
    assert noise_x.shape == (gates, 20, 300) and noise_h.shape == (gates, 20, 200)
    for noise, rate in ((noise_x, 0.25), (noise_h, 0.5)):
        assert set(np.unique(noise).round(4)) == {0.0, np.float32(1 / (1 - rate)).round(4)}
        assert abs(float(noise.mean()) - 1) < 0.05
    assert gates == 1 or not np.array_equal(noise_x[0], noise_x[1])
    same(layer.cell.draw_noise(inputs.astype("float32"), state)[1].shape, noise_h.shape)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_with_all_recurrent_inputs_dropped_forgets_its_state_in_the_gates(reset_after):
    layer = layers.GRU(5, recurrent_dropout=1, reset_after=reset_after, return_sequences=True)
    ones = np.repeat(X[:, :1], 4, 1)
    y = np.asarray(layer(ones, training=True))
    # z and the candidate g are then the same in all steps: the distance to g shrinks by z.
    steps = np.diff(y, axis=1)
    np.testing.assert_allclose(steps[:, 1] / steps[:, 0], steps[:, 2] / steps[:, 1], rtol=1e-3)


def test_noise_in_stacked_cells_and_alone():
    stack = layers.RNN([layers.LSTMCell(5, dropout=0.5, seed=1), Minimal(3),
                        layers.GRUCell(2, recurrent_dropout=0.5, seed=2)])  # fmt: skip
    a, b = stack(X, training=True), stack(X, training=True)
    assert not np.array_equal(a, b)
    cell = layers.SimpleRNNCell(5, dropout=0.5, seed=1)
    zeros = np.zeros((2, 5), "float32")
    output, states = cell(X[:, 0], zeros, training=True)
    assert states.shape == (2, 5) and not np.array_equal(output, cell(X[:, 0], zeros)[0])


@pytest.mark.parametrize("name, states", [("SimpleRNNCell", [H]), ("GRUCell", [H]),
                                          ("LSTMCell", [H, C])])  # fmt: skip
def test_cells_alone(name, states):
    ours, theirs = (getattr(module, name)(5) for module in (layers, keras.layers))
    for cell in (ours, theirs):
        cell.build((2, 3))
    theirs.set_weights(ours.get_weights())
    same(ours(X[:, 0], states), theirs(X[:, 0], states))
    assert [w.path.rpartition("/")[2] for w in ours.weights] == [w.name for w in theirs.weights]
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()


def test_forget_gates_start_open():
    for layer, size in ((layers.LSTM(2), 2), (layers.ConvLSTM1D(2, 1), 2)):
        layer.build((2, 3, 4) if size == 2 and isinstance(layer, layers.LSTM) else (2, 3, 4, 1))
        assert layer.cell.bias.numpy().tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_masked_steps_of_a_convolution_are_passed_over():
    layer = layers.ConvLSTM2D(2, 2, padding="same", return_sequences=True)
    x = RNG.normal(size=(2, 3, 4, 5, 1)).astype("float32")
    mask = np.array([[True, True, False], [True, False, True]])
    y = np.asarray(layer(x, mask=mask))
    same(y[0, :2], layer(x[:1, :2])[0])
    same(y[0, 2], y[0, 1])
    same(y[1, 2], layer(x[1:, ::2])[0, -1])


def test_time_distributed_layers_that_draw_or_change_run_step_by_step():
    drop = layers.TimeDistributed(layers.Dropout(0.5, seed=1))
    y = np.asarray(drop(np.ones((1, 6, 50), "float32"), training=True))[0]
    assert len({row.tobytes() for row in y}) == 6
    assert drop.layer.seed_generator.state.numpy()[1] == 6
    inner = stepfit.Sequential([layers.Dense(3), layers.BatchNormalization(momentum=0.5)])
    wrapped = layers.TimeDistributed(inner)
    wrapped(X, training=True)
    mean = np.zeros(3)
    for t in range(4):
        mean = 0.5 * mean + 0.5 * np.asarray(inner.layers[0](X[:, t])).mean(0)
    same(inner.layers[1].moving_mean, mean)


def test_time_distributed_losses_are_added_once_a_step():
    layer = layers.TimeDistributed(layers.ActivityRegularization(l1=1.0))
    layer(X)
    np.testing.assert_allclose(layer.losses, [np.abs(X).sum() / 2], rtol=1e-5)


def test_bidirectional_states_weights_and_copies():
    one = layers.LSTM(5, stateful=True, name="one")
    layer = layers.Bidirectional(one, name="two")
    first = layer(X)
    assert not one.built and [n.name for n in (layer.forward_layer, layer.backward_layer)] == [
        "forward_one", "backward_one"
    ]
    assert not np.array_equal(layer(X), first) and len(layer.states) == 4
    layer.reset_state()
    same(layer(X), first)
    again = layers.Bidirectional(one, weights=layer.get_weights())
    same(again(X), first)
    halves = layer.forward_layer(X), layer.backward_layer(X)
    assert halves[0].shape == (2, 5)
    started = layers.Bidirectional(layers.GRU(5))
    same(started(X, initial_state=[H, C])[:, :5], started.forward_layer(X, initial_state=[H]))
    same(started(X, initial_state=[H, C])[:, 5:], started.backward_layer(X, initial_state=[C]))


def test_states_travel_from_an_encoder_to_a_decoder():
    def model(k):
        a, b = k.Input((4, 3)), k.Input((None, 3))
        _, h, c = k.layers.LSTM(5, return_state=True, name="encoder")(a)
        y = k.layers.LSTM(5, return_sequences=True, name="decoder")(b, initial_state=[h, c])
        return k.Model([a, b], y)

    ours, theirs = model(stepfit), model(keras)
    theirs.set_weights(ours.get_weights())
    same(ours([X, X[:, :2]]), theirs([X, X[:, :2]]))
    assert ours.output_shape == (None, None, 5)


def test_second_derivatives_and_forward_mode():
    layer = layers.GRU(5)
    layer.build(X.shape)
    values = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]
    f = lambda x: jnp.sum(layer.stateless_call(values, state, x)[0] ** 2)
    v = jnp.ones_like(X)
    _, forward = jax.jvp(jax.grad(f), (jnp.asarray(X),), (v,))
    eps = 1e-2
    numeric = (jax.grad(f)(X + eps * v) - jax.grad(f)(X - eps * v)) / (2 * eps)
    np.testing.assert_allclose(forward, numeric, rtol=0.05, atol=5e-3)


def test_a_tape_watches_through_the_loop():
    layer = layers.LSTM(5)
    layer.build(X.shape)
    with stepfit.GradientTape() as tape:
        loss = jnp.sum(layer(X) ** 2)
    found = tape.gradient(loss, layer.trainable_variables)
    values = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]
    expected = jax.grad(lambda w: jnp.sum(layer.stateless_call(w, state, X)[0] ** 2))(values)
    same(found, expected)
