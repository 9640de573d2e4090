"""Mistakes in steps of one's own, those of the guides among them."""

import random

import jax
import jax.numpy as jnp
import numpy as np

import stepfit as keras
from tests.bad_input.common import Row, X, Y, fit, mlp, own


def forward(self, trainable, non_trainable, x, y):
    y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
    return self.compute_loss(x, y, y_pred), (y_pred, non_trainable)


def gradients(self, state, data):
    """Return what a stateless step begins with: values, loss, and gradients."""
    tv, ntv, ov, mv = state
    run = lambda tv: forward(self, tv, ntv, *data[:2])
    (loss, (y_pred, ntv)), grads = jax.value_and_grad(run, has_aux=True)(tv)
    return tv, ntv, ov, mv, loss, y_pred, grads


def good(self, state, data):
    tv, ntv, ov, mv, loss, _, grads = gradients(self, state, data)
    tv, ov = self.optimizer.stateless_apply(ov, grads, tv)
    return {"loss": loss}, (tv, ntv, ov, mv)


def logs_only(self, state, data):
    return {"loss": gradients(self, state, data)[4]}


def swapped_pair(self, state, data):
    logs, state = good(self, state, data)
    return state, logs


def three_parts(self, state, data):
    logs, state = good(self, state, data)
    return logs, state[:3]


def wrong_order(self, state, data):
    logs, (tv, ntv, ov, mv) = good(self, state, data)
    return logs, (ov, ntv, tv, mv)


def stale(self, state, data):
    logs, (_, ntv, ov, mv) = good(self, state, data)
    return logs, (state[0], ntv, ov, mv)


def nothing_new(self, state, data):
    logs, _ = good(self, state, data)
    return logs, state


def no_metrics(self, state, data):
    logs, (tv, ntv, ov, _) = good(self, state, data)
    return logs, (tv, ntv, ov, [])


def wrong_shape(self, state, data):
    logs, (tv, ntv, ov, mv) = good(self, state, data)
    return logs, ([tv[0].T, *tv[1:]], ntv, ov, mv)


def none_in_state(self, state, data):
    logs, (tv, ntv, ov, mv) = good(self, state, data)
    return logs, ([None, *tv[1:]], ntv, ov, mv)


def swapped_gradients(self, state, data):
    tv, ntv, ov, mv, loss, _, grads = gradients(self, state, data)
    tv, ov = self.optimizer.stateless_apply(ov, tv, grads)
    return {"loss": loss}, (tv, ntv, ov, mv)


def optimizer_last(self, state, data):
    tv, ntv, ov, mv, loss, _, grads = gradients(self, state, data)
    tv, ov = self.optimizer.stateless_apply(grads, tv, ov)
    return {"loss": loss}, (tv, ntv, ov, mv)


def no_aux(self, state, data):
    tv, ntv, ov, mv = state
    jax.value_and_grad(lambda tv: forward(self, tv, ntv, *data))(tv)


def three_values(self, state, data):
    tv, ntv, ov, mv = state

    def run(tv):
        loss, (y_pred, new) = forward(self, tv, ntv, *data)
        return loss, y_pred, new

    jax.value_and_grad(run, has_aux=True)(tv)


def stateless(loss):
    """Return a stateless step whose loss is ``loss(self, trainable, non_trainable, x, y)``."""

    def train_step(self, state, data):
        tv, ntv, ov, mv = state
        value, grads = jax.value_and_grad(lambda tv: loss(self, tv, ntv, *data))(tv)
        tv, ov = self.optimizer.stateless_apply(ov, grads, tv)
        return {"loss": value}, (tv, ntv, ov, mv)

    return train_step


def own_variables(self, tv, ntv, x, y):
    return self.compute_loss(x, y, self(x, training=True))


def pair_of_results(self, tv, ntv, x, y):
    return self.compute_loss(x, y, self.stateless_call(tv, ntv, x, training=True))


def of_one_weight(self, tv, ntv, x, y):
    return jnp.sum(tv[0] ** 2)


def of_no_data(self, tv, ntv, x, y):
    return sum(jnp.sum(v) for v in tv)


def without_x(self, data):
    x, y = data
    return {"loss": self.compute_loss(y, self(x, training=True))}


def without_zip(self, data):
    x, y = data
    with keras.GradientTape() as t:
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
    self.optimizer.apply_gradients(t.gradient(loss, self.trainable_variables))
    return {"loss": loss}


def unpacks_elsewhere(self, data):
    (_, _), _ = zip(*[(1, 2, 3)], strict=True)


def helper(self, data):
    unpacks_elsewhere(self, data)


def counts(self, data):
    self.steps = getattr(self, "steps", 0) + 1
    return {"loss": tape(self, data), "steps": self.steps}


def averages(self, data):
    loss = tape(self, data)
    self.average = 0.9 * getattr(self, "average", 0.0) + loss
    return {"loss": loss, "average": self.average}


def decays(self, data):
    self.patience = self.patience * 0.5
    return {"loss": self.patience * tape(self, data)}


def with_patience():
    model = own(decays)()
    model.patience = 1.0
    return model


def draws(self, data):
    np.random.normal(), random.random()
    return {"loss": tape(self, data)}


def measures(self, data):
    """Keeps for itself what the same step needs, and how large the batch is."""
    if not hasattr(self, "rows"):
        self.rows = len(data[0])
    self.loss_now = tape(self, data)
    return {"loss": self.loss_now + self.rows}


class Keeps(keras.Sequential):
    """Keeps its output for the loss; called by hand before, it holds an array."""

    def call(self, x):
        self.out = super().call(x)
        return self.out


def called_by_hand():
    model = mlp(cls=Keeps)
    model(X)
    return model


def of_tensorflow(self, data):
    scope = {"__name__": "tensorflow.python.ops"}
    exec("def watch(x): return x._id", scope)
    scope["watch"](data[0])


def arity(self, data):
    x, y = data
    return {"loss": jnp.mean(x)}


def tape(self, data):
    x, y = data
    with keras.GradientTape() as t:
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
    self.optimizer.apply(t.gradient(loss, self.trainable_variables), self.trainable_variables)
    return loss


def keeps(self, data):
    self.last = tape(self, data)
    return {"loss": self.last}


def contradicts(self, data):
    loss = tape(self, data)
    self.metrics[0].update_state(loss)
    return {"loss": 2 * loss}


def contradicts_mae(self, data):
    x, y = data
    loss = tape(self, data)
    mae = self.metrics[1]
    mae.update_state(y, self(x))
    return {"loss": loss, "mae": jnp.mean(y)}


def raw_loss(self, data):
    logs = keras.Sequential.train_step(self, data)
    return {**logs, "loss": jnp.mean((self(data[0]) - data[1]) ** 2)}


def unknown_tracker(self, data):
    return {"loss": tape(self, data), "ratio": [1.0, 2.0]}


def assigns(self, state, data):
    self.layers[0].kernel.assign(state[0][0] * 2)
    return {}, ([state[0][0] * 3, *state[0][1:]], *state[1:])


def reset_states(self, data):
    self.metrics[0].reset_states()
    return {"loss": tape(self, data)}


def without_tape(self, data):
    x, y = data
    loss = self.compute_loss(y=y, y_pred=self(x, training=True))
    tape_ = keras.GradientTape()
    self.optimizer.apply(tape_.gradient(loss, self.trainable_variables), self.trainable_variables)


def none_gradients(self, data):
    x, y = data
    with keras.GradientTape() as t:
        y_pred = self(x, training=True)
    loss = self.compute_loss(y=y, y_pred=y_pred)
    self.optimizer.apply(t.gradient(loss, self.trainable_variables), self.trainable_variables)
    return {"loss": loss}


def one_of(name):
    """A step whose last line overwrites `logs` in a loop."""

    def train_step(self, data):
        logs = keras.Sequential.train_step(self, data)
        for metric in self.metrics:
            logs = metric.result()
        return logs

    return train_step


def untold(self, data):
    x, y = data
    with keras.GradientTape() as t:
        loss = self.compute_loss(y=y, y_pred=self(x))
    self.optimizer.apply(t.gradient(loss, self.trainable_variables), self.trainable_variables)
    return {"loss": loss}


def frozen_teacher(self, data):
    self(data[0], training=False)
    return {"loss": tape(self, data)}


def row(name, step, text, **more):
    make = own(step, **more.pop("compile", {}))
    return Row(name, more.pop("call", fit()), text, make, **more)


def by_side_effect(self, state, data):
    """Everything stateful inside a stateless step."""
    x, y = data
    variables = self.trainable_variables
    run = lambda: self.compute_loss(x, y, self(x, training=True))
    loss, grads = keras.value_and_grad(run, variables)()
    self.optimizer.apply(grads, variables)
    self._loss_tracker.update_state(loss)
    self.layers[0].bias.assign(self.layers[0].bias * 2)
    return {"loss": self._loss_tracker.result()}, state


def tf_style(self, data):
    tape(self, data)
    return {m.name: m.result() for m in self.metrics}


def keras_style(self, state, data):
    """As the guide for Keras on JAX has it, metrics by their position."""
    tv, ntv, ov, mv, loss, y_pred, grads = gradients(self, state, data)
    tv, ov = self.optimizer.stateless_apply(ov, grads, tv)
    new_mv, logs = [], {}
    for metric in self.metrics:
        count = len(metric.variables)
        mine, mv = mv[:count], mv[count:]
        if metric.name == "loss":
            mine = metric.stateless_update_state(mine, loss)
        else:
            mine = metric.stateless_update_state(mine, data[1], y_pred)
        logs[metric.name] = metric.stateless_result(mine)
        new_mv += mine
    return logs, (tv, ntv, ov, new_mv)


FROZEN = (
    "Own.train_step: expected what a step keeps for the next one in a Variable, found {} in Own "
    "'m' attribute {!r}: Python code runs once, when the step is compiled, and every step computes "
    "with what it read then; make a Variable v in __init__ and call {}, or update a metric."
)
DRAWN = (
    "Own.train_step: expected random numbers from keras.random, found a draw from {}, which runs "
    "once, when the step is compiled: every step gets the same numbers; write "
    "keras.random.normal(shape, seed=keras.random.SeedGenerator()), with the generator made in "
    "__init__."
)
ROWS = [
    row("logs only", logs_only,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)), "
        "found dict with keys ['loss']."),
    row("swapped pair", swapped_pair,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)), "
        "found a state that is dict with keys ['loss']."),
    row("None", lambda self, state, data: None,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)), "
        "found None."),
    row("nothing returned by a stateful step", lambda self, data: None,
        "Own.train_step logs: expected a dict of scalars, found None; return {name: scalar}."),
    row("logs not a dict", lambda self, data: [1.0],
        "Own.train_step logs: expected a dict of scalars, found list of 1 elements; return "
        "{name: scalar}."),
    row("state of three parts", three_parts,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)), "
        "found a state that is tuple of 3 elements."),
    row("state in another order", wrong_order,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)); "
        "element 0 'trainable' has 2 leaves, expected 4."),
    row("old trainables returned", stale,
        "Own.train_step: expected the trainable variables to change, found all 4 as they were "
        "given, though the optimizer's changed; return the ones that optimizer.stateless_apply "
        "returned."),
    row("metrics' variables left out", no_metrics,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)); "
        "element 3 'metrics' has 0 leaves, expected 2."),
    row("a value of another shape", wrong_shape,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)); "
        "element 0 'trainable'[0] has float32[3,4], expected shape (4, 3), for "
        "'m/hidden/kernel'."),
    row("None for a value", none_in_state,
        "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics)); "
        "element 0 'trainable'[0] has None, expected shape (4, 3), for 'm/hidden/kernel'."),
    row("gradients and weights exchanged", swapped_gradients,
        "SGD.stateless_apply grads: expected gradients, found the values of the trainable "
        "variables; pass (optimizer_variables, grads, trainable_variables)."),
    row("stateless_apply in the guide's order", optimizer_last,
        "SGD.stateless_apply: expected the arguments (optimizer_variables, grads, "
        "trainable_variables), found them in another order; pass (optimizer_variables, grads, "
        "trainable_variables)."),
    row("has_aux missing", no_aux,
        "(TypeError)\n"
        "In Own.train_step: the function differentiated must return one scalar, or (scalar, "
        "aux) with has_aux=True."),
    row("three values with has_aux", three_values,
        "(TypeError)\n"
        "In Own.train_step: with has_aux=True, the function differentiated must return (scalar, "
        "aux); put several values into one tuple: (loss, (y_pred, other))."),
    row("wrong arity", arity,
        "(ValueError)\n"
        "In Own.train_step: data is the tuple (x, y, sample_weight), of 3 elements, because "
        "that is what fit() was given; write `x, y, sample_weight = "
        "keras.utils.unpack_x_y_sample_weight(data)`.", call=fit(sample_weight=np.ones(16))),
    row("a vector in the logs", lambda self, data: {"loss": data[0][:, 0]},
        "Own.train_step logs['loss']: expected a scalar, found float32[16]; reduce it, with "
        "jnp.mean for example."),
    row("a list in the logs", unknown_tracker,
        "Own.train_step logs['ratio']: expected a scalar, found list of 2 elements; reduce it, "
        "with jnp.mean for example."),
    row("text in the logs", lambda self, data: {"loss": "low"},
        "Own.train_step logs['loss']: expected a scalar, found 'low'; reduce it, with jnp.mean "
        "for example."),
    row("logs contradict the loss's tracker", contradicts,
        "Own.train_step logs['loss']: expected the result of the metric 'loss', which the step "
        "updates, found another value; return metric.result(), or give the value another name."),
    row("logs contradict a metric", contradicts_mae,
        "Own.train_step logs['mae']: expected the result of the metric 'mae', which the step "
        "updates, found another value; return metric.result(), or give the value another name.",
        compile={"metrics": ["mae"]}),
    row("another value under a metric's name after super().train_step", raw_loss,
        "Own.train_step logs['loss']: expected the result of the metric 'loss', which the step "
        "updates, found another value; return metric.result(), or give the value another name."),
    row("assigned and returned", assigns,
        "Own.train_step: expected 'm/hidden/kernel' to be updated once, found it both assigned "
        "in the step and returned with another value in the state; do one of the two."),
    row("float of a traced value", lambda self, data: {"loss": float(data[0].mean())},
        "(ConcretizationTypeError)\n"
        "In Own.train_step, which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("if on a traced value",
        lambda self, data: {"loss": 1.0 if data[0].mean() > 0 else 0.0},
        "(TracerBoolConversionError)\n"
        "In Own.train_step, which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("numpy on a traced value", lambda self, data: {"loss": np.asarray(data[0]).mean()},
        "(TracerArrayConversionError)\n"
        "In Own.train_step, which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("the model's own Variables in a stateless gradient", stateless(own_variables),
        "Own.train_step: expected a loss that depends on the values it is differentiated by, "
        "found all 4 gradients zero, whatever the weights are; self(x) reads the model's own "
        "Variables: inside jax.value_and_grad call self.stateless_call(trainable, non_trainable, "
        "x, training=True), or write the step with keras.GradientTape."),
    row("the pair of stateless_call in the loss", stateless(pair_of_results),
        "compute_loss(y_pred): expected an array, as the model returns it, found tuple of 2 "
        "elements; stateless_call returns (y_pred, non_trainable_variables): take them apart."),
    row("compute_loss without x", without_x,
        "compute_loss(y_pred): expected the model's outputs, found None; the order is (x, y, "
        "y_pred, sample_weight): write compute_loss(x, y, y_pred), or compute_loss(y=y, "
        "y_pred=y_pred)."),
    row("apply_gradients without zip", without_zip,
        "SGD.apply_gradients: expected pairs (gradient, variable), found float32[4,3] at [0]; "
        "write apply_gradients(zip(grads, variables)), or apply(grads, variables)."),
    row("too many values elsewhere", helper, "(ValueError)"),
    row("compiled_loss", lambda self, data: self.compiled_loss(data[1], self(data[0])),
        "Own 'm' has no 'compiled_loss', a name of tf.keras; write self.compute_loss(y=y, "
        "y_pred=y_pred)."),
    row("compiled_metrics", lambda self, data: self.compiled_metrics.update_state(*data),
        "Own 'm' has no 'compiled_metrics', a name of tf.keras; write self.compute_metrics(x, y, "
        "y_pred)."),
    row("minimize", lambda self, data: self.optimizer.minimize(None, self.trainable_variables),
        "optimizer 'sgd' has no 'minimize', a name of tf.keras; compute the gradients with "
        "keras.GradientTape or keras.value_and_grad, and write optimizer.apply(gradients, "
        "variables)."),
    row("numpy() of a traced value", lambda self, data: {"loss": data[0].mean().numpy()},
        "(AttributeError)\n"
        "In Own.train_step: these are JAX's arrays, which have no numpy(); leave it out. Logs "
        "take arrays as they are; where values are there, numpy.asarray(x) gives them."),
    row("TensorFlow on a traced value", of_tensorflow,
        "(AttributeError)\n"
        "In Own.train_step: TensorFlow's functions do not take JAX's arrays. Write "
        "keras.GradientTape for tf.GradientTape, and stepfit.ops for tf.*; "
        "docs/coming_from_keras.md has the names."),
    row("a counter in Python", counts, FROZEN.format("the number 1", "steps", "v.assign_add(1)"),
        warns=True),
    row("an average in Python", averages,
        FROZEN.format("a value of this one batch", "average", "v.assign(...)"), warns=True),
    Row("a rate in Python", fit(),
        FROZEN.format("the number 0.5", "patience", "v.assign(...)"), with_patience, warns=True),
    row("draws of NumPy and Python", draws,
        "\n".join(DRAWN.format(name) for name in ("numpy.random", "Python's random")),
        warns=True),
    row("no gradient at all", none_gradients,
        "SGD.apply(grads): expected at least one gradient, found 4 times None; compute the loss "
        "from these variables."),
    row("a tape that recorded nothing", without_tape,
        "SGD.apply(grads): expected at least one gradient, found 4 times None; compute the loss "
        "from these variables."),
    row("reset_states", reset_states,
        'metric "loss": expected reset_state(), found reset_states(), its name in Keras 2; '
        "write reset_state()."),
    row("wrong signature", lambda self, state, data, more: None,
        "Own.train_step: expected the arguments (self, state, data) or (self, data), found "
        "(self, state, data, more)."),
    row("no arguments", lambda self: None,
        "Own.train_step: expected the arguments (self, state, data) or (self, data), found "
        "(self)."),
    row("unknown part of the state", lambda self, state, data: state.metric_variables,
        "the state of train_step has no 'metric_variables'; did you mean 'metrics_variables'?"),
    row("part of a foreign owner",
        lambda self, state, data: state.of(keras.optimizers.SGD(name="other")),
        "state.of('other'): expected an optimizer that is built, found one that is not; call "
        "its build(trainable_variables) in compile()."),
    row("a traced value kept on the model", keeps,
        "Own 'm' attribute 'last': expected a value, found what is left of one that "
        "Own.train_step computed while it was compiled; return it in the logs, or keep it in a "
        "Variable and assign to that.",
        call=lambda m: (m.fit(X, Y, verbose=0), float(m.last)), late=True),
    row("one result in place of the logs", one_of("loss"),
        "Own.train_step logs: expected a dict of scalars, found one scalar; the results of the "
        "model's metrics are reported in its place. Write `logs[metric.name] = ...`.", warns=True),
    row("nothing trained", nothing_new,
        "Own.train_step: expected the trainable variables to change, found all 4 as they were "
        "given: nothing is learnt. Call optimizer.apply(gradients, variables), or return what "
        "optimizer.stateless_apply returned.", warns=True),
    row("a model called without training=True", untold,
        "Own.train_step: expected Own 'm' to be called with training=True, found nothing said, "
        "so that 'drop' acts as in inference; pass training=True, or training=False if that is "
        "meant.", warns=True,
        compile={"dropout": 0.5}),
    # taken as it is
    row("gradients of which all but one are zero", stateless(of_one_weight), None),
    row("a loss that needs no data", stateless(of_no_data), None),
    row("what a step keeps for itself", measures, None),
    Row("an output kept by a model called by hand", fit(), None, called_by_hand),
    row("a counter in Python, not compiled", counts, None, compile={"run_eagerly": True}),
    row("a pair in train_on_batch", tf_style, None, call=lambda m: m.train_on_batch(X, Y)),
    row("a model called with training=False", frozen_teacher, None,
        compile={"dropout": 0.5}),
    row("a loss in the logs that its tracker has not seen", good, None),
    row("stateful calls in a stateless step", by_side_effect, None),
    row("a step of tf.keras", tf_style, None),
    row("metrics by position", keras_style, None, compile={"metrics": ["mae"]}),
]  # fmt: skip
