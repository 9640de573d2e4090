"""What optimizers say about wrong input, word for word."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stepfit import optimizers
from stepfit.core.variable import Variable

ORDER = "(optimizer_variables, grads, trainable_variables)"


def variables(*names):
    return [Variable(np.zeros(2 + i, "float32"), name=n) for i, n in enumerate(names or "ab")]


def gradients(made):
    return [jnp.ones(v.shape) for v in made]


def built(name="opt"):
    made = variables()
    optimizer = optimizers.Adam(name=name)
    optimizer.build(made)
    return optimizer, [v.value for v in optimizer.variables], gradients(made), made


def stateless(change):
    optimizer, state, grads, made = built()
    optimizer.stateless_apply(*change(state, grads, [v.value for v in made]))


def sgd(**arguments):
    return lambda: optimizers.SGD(**arguments)


def apply(grads, *names):
    return lambda: optimizers.SGD(name="opt").apply(grads, variables(*names))


class Forgetful(optimizers.Optimizer):
    def __init__(self):
        self.speed = 1.0


class Empty(optimizers.Optimizer):
    pass


def reuse():
    optimizer, *_ = built()
    made = variables("x", "y")
    optimizer.apply(gradients(made), made)


def rebuild_in_another_order():
    optimizer, _, _, made = built()
    optimizer.build(made[::-1])


def exclude_late():
    built()[0].exclude_from_weight_decay(var_names=["bias"])


def assign_float_to_schedule():
    optimizer = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5))
    optimizer.learning_rate = 0.5


def assign(name, value):
    return lambda: setattr(built()[0], name, value)


def load(arrays):
    return lambda: built()[0].set_weights(arrays)


def repeated():
    a, _ = variables()
    optimizers.SGD().build([a, a])


def swapped_by_identity():
    optimizer, state, grads, made = built()
    optimizer.stateless_apply(state, [v.value for v in made], grads)


def by_path(**names):
    made = {key: optimizers.SGD(name=name) for key, name in names.items()}
    return optimizers.OptimizerMap(optimizers.SGD(name="rest"), made)


CLIPS = "at most one of clipnorm, clipvalue and global_clipnorm"
ERRORS = {
    # constructor
    "negative": (sgd(learning_rate=-1.0),
        "SGD learning_rate: expected a number that is not negative, found -1.0."),
    "nan": (sgd(learning_rate=float("nan")),
        "SGD learning_rate: expected a number that is not negative, found nan."),
    "text": (sgd(learning_rate="fast"),
        "SGD learning_rate: expected a number, a LearningRateSchedule or a callable, found "
        "'fast'."),
    "schedule_class": (sgd(learning_rate=optimizers.schedules.CosineDecay),
        "SGD learning_rate: expected a number or a schedule instance, found the class "
        "CosineDecay; write CosineDecay(...)."),
    "lr": (sgd(lr=0.1),
        "SGD: expected the argument 'learning_rate', found 'lr'; write learning_rate=..."),
    "typo": (sgd(learning_rat=0.1),
        "SGD(...): expected the name of an argument, found 'learning_rat'; did you mean "
        "'learning_rate'?"),
    "momentum": (sgd(momentum=1.5), "SGD momentum: expected a float from 0 to 1, found 1.5."),
    "two_clips": (sgd(clipnorm=1.0, clipvalue=1.0),
        f"SGD: expected {CLIPS}, found clipnorm and clipvalue."),
    "clip": (sgd(clipnorm=-1.0),
        "SGD clipnorm: expected a float that is not negative or None, found -1.0."),
    "decay": (sgd(weight_decay=-1.0),
        "SGD weight_decay: expected a float that is not negative or None, found -1.0."),
    "scale": (sgd(loss_scale_factor=0.0),
        "SGD loss_scale_factor: expected a positive float or None, found 0.0."),
    "accumulate": (sgd(gradient_accumulation_steps=1),
        "SGD gradient_accumulation_steps: expected an int of at least 2 or None, found 1."),
    "ema": (sgd(use_ema=True, ema_momentum=2.0),
        "SGD ema_momentum: expected a float between 0 and 1 or None, found 2.0."),
    "ema_frequency": (sgd(use_ema=True, ema_overwrite_frequency=0.5),
        "SGD ema_overwrite_frequency: expected an int of at least 1 or None, found 0.5."),
    "name": (sgd(name="a/b"),
        "SGD name: expected a name without path separators, found 'a/b'; use '_' in place of '/'."),
    "adamw": (lambda: optimizers.AdamW(weight_decay=None),
        "AdamW weight_decay: expected a float, found None; use Adam for no decay."),
    "lion": (lambda: optimizers.Lion(beta_1=0.0),
        "Lion beta_1: expected a float above 0, at most 1, found 0.0; for sign descent without "
        "momentum use optax.sign_sgd."),
    "adagrad": (lambda: optimizers.Adagrad(initial_accumulator_value=-1.0),
        "Adagrad initial_accumulator_value: expected a float that is not negative, found -1.0."),
    "ftrl_power": (lambda: optimizers.Ftrl(learning_rate_power=0.5),
        "Ftrl learning_rate_power: expected a float of at most 0, found 0.5."),
    "ftrl_l1": (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0),
        "Ftrl l1_regularization_strength: expected a float that is not negative, found -1.0."),
    "schedule_free": (lambda: optimizers.ScheduleFreeAdamW(beta_1=0.0),
        "ScheduleFreeAdamW beta_1: expected a float above 0, at most 1, found 0.0."),
    "map_class": (lambda: optimizers.OptimizerMap(optimizers.SGD),
        "OptimizerMap default_optimizer: expected an optimizer, found the class SGD."),
    "map_list": (lambda: optimizers.OptimizerMap(optimizers.SGD(), ["a"]),
        "OptimizerMap optimizer_map: expected a dict from path to optimizer, found list of 1 "
        "elements."),
    "map_twice": (lambda: by_path(a="sgd").update(a=optimizers.SGD()),
        "OptimizerMap['a']: expected a new key, found the optimizer 'sgd'; delete it first."),
    "map_two_fit": (lambda: by_path(**{"e.*": "x", ".*r": "y"})["encoder"],
        "OptimizerMap['encoder']: expected one key that fits it, found 'e.*' and '.*r'; add the "
        "path itself as a key."),
    "map_of_scaled": (
        lambda: by_path().update(a=optimizers.LossScaleOptimizer(optimizers.SGD())),
        "OptimizerMap['a']: expected an optimizer that makes updates itself, found "
        "LossScaleOptimizer; wrap the MultiOptimizer in it."),
    "multi_dict": (lambda: optimizers.MultiOptimizer({"a": optimizers.SGD()}),
        "MultiOptimizer optimizer_map: expected an OptimizerMap or a function from a Variable to "
        "its optimizer, found dict with keys ['a']."),
    "multi_none": (lambda: optimizers.MultiOptimizer(lambda v: None).build(variables()),
        "MultiOptimizer: optimizer of 'a': expected an optimizer, found None."),
    "multi_rate": (lambda: optimizers.MultiOptimizer(by_path(b="y")).learning_rate,
        "MultiOptimizer.learning_rate: expected the learning rate of one optimizer, found 2 "
        "optimizers; write optimizer.optimizers[i].learning_rate."),
    "multi_decay": (
        lambda: optimizers.MultiOptimizer(by_path()).exclude_from_weight_decay(var_names=["b"]),
        "MultiOptimizer.exclude_from_weight_decay: expected a call on an inner optimizer, found "
        "one on the whole; write optimizer.optimizers[i].exclude_from_weight_decay(...)."),
    "loss_scale_inner": (lambda: optimizers.LossScaleOptimizer("adam"),
        "LossScaleOptimizer inner_optimizer: expected an optimizer, found 'adam'."),
    "loss_scale_option": (
        lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0),
        "LossScaleOptimizer clipnorm: expected it on the inner optimizer, found it here; pass "
        "clipnorm to that one."),
    "optax_uncalled": (lambda: optimizers.OptaxOptimizer(optax.adam),
        "OptaxOptimizer tx: expected an optax.GradientTransformation, found an object of type "
        "function; call optax's function, as in optax.adam(1e-3)."),
    "optax_rate": (lambda: optimizers.OptaxOptimizer(optax.adam(0.1), learning_rate=0.1),
        "OptaxOptimizer learning_rate: expected it inside the transformation, found it beside; "
        "write it there, as in optax.adam(1e-3)."),
    "optax_config": (lambda: optimizers.get(optax.adam(0.1)).get_config(),
        "OptaxOptimizer.get_config(): expected an optimizer that a config can describe, found an "
        "optax transformation, made of functions; make the OptaxOptimizer anew and compile with it "
        "after loading."),
    "optax_attribute": (lambda: optimizers.get(optax.adam(0.1)).learning_rate,
        "OptaxOptimizer.learning_rate: expected a built optimizer made with "
        "optax.inject_hyperparams, found the learning rate inside the transformation; write "
        "optax.inject_hyperparams(optax.adam)(learning_rate=...) to read and assign it."),
    # get
    "get_typo": (lambda: optimizers.get("adma"),
        "optimizer: expected the name of an optimizer, found 'adma'; did you mean 'adam'?"),
    "get_class": (lambda: optimizers.get(optimizers.Adam),
        "optimizer: expected an optimizer, found the class Adam; write Adam()."),
    "get_uncalled": (lambda: optimizers.get(optax.sgd),
        "optimizer: expected an optimizer, found an object of type function; call it: "
        "optax.sgd(...)."),
    "get_number": (lambda: optimizers.get(3),
        'optimizer: expected an optimizer, found 3; pass a name ("adam"), an instance (Adam()) or '
        "an optax transformation (optax.adam(1e-3))."),
    # subclasses
    "no_super": (lambda: Forgetful().build(variables()),
        "Forgetful: expected super().__init__() before anything else in __init__, found no call; "
        "add super().__init__(learning_rate=...)."),
    "no_rule": (lambda: Empty().build(variables()),
        "Empty: expected a method transformation(self) that returns an "
        "optax.GradientTransformation, or update_step(self, gradient, variable, learning_rate), "
        "found neither; define one."),
    # build and apply
    "reuse": (reuse,
        "Adam 'opt': expected the 2 variables it was built with ('a', 'b'), found 2 unknown ones: "
        "'x', 'y'; an optimizer serves one set of variables; make a new Adam(...) for another."),
    "order": (rebuild_in_another_order,
        "Adam 'opt': expected the 2 variables it was built with ('a', 'b'), found 2 of them in "
        "another order or number; an optimizer serves one set of variables; make a new Adam(...) "
        "for another."),
    "repeated": (repeated, "SGD.build(variables): expected each Variable once, found 'a' twice."),
    "arrays": (lambda: optimizers.SGD().build([jnp.ones(3)]),
        "SGD.build(variables)[0]: expected a Variable, found float32[3]; pass "
        "model.trainable_variables."),
    "late_exclusion": (exclude_late,
        "Adam.exclude_from_weight_decay: expected an optimizer not yet built, found a built one; "
        "call it before compile() or build()."),
    "unbuilt": (lambda: optimizers.SGD().apply([jnp.ones(2)]),
        "SGD.apply(grads): expected a built optimizer, found one without variables; pass "
        "apply(grads, trainable_variables)."),
    "count": (apply([jnp.ones(2)]),
        "SGD.apply(grads): expected 2 gradients, one per variable, found 1."),
    "shape": (apply([jnp.ones(2), jnp.ones(1)]),
        "SGD: gradient of 'b': expected shape (3,), found shape (1,)."),
    "integers": (apply([jnp.ones(2), jnp.ones(3, int)]),
        "SGD: gradient of 'b': expected a float array, found int32[3]; integer arrays have no "
        "gradient: convert them, or make the Variable not trainable."),
    "variable": (apply(variables()),
        f"SGD: gradient of 'a': expected an array, found the Variable 'a'; the order is {ORDER}."),
    "all_none": (apply([None, None]),
        "SGD.apply(grads): expected at least one gradient, found 2 times None; compute the loss "
        "from these variables."),
    # stateless_apply
    "stateless_unbuilt": (lambda: optimizers.SGD().stateless_apply([], [], []),
        "SGD.stateless_apply: expected a built optimizer, found one without variables; call "
        "optimizer.build(model.trainable_variables) first."),
    "seed_order": (lambda: stateless(lambda o, g, t: (g, t, o)),
        f"Adam.stateless_apply: expected the arguments {ORDER}, found them in another order; pass "
        f"{ORDER}."),
    "other_order": (lambda: stateless(lambda o, g, t: (t, g, o)),
        f"Adam.stateless_apply: expected the arguments {ORDER}, found them in another order; pass "
        f"{ORDER}."),
    "swapped": (swapped_by_identity,
        "Adam.stateless_apply grads: expected gradients, found the values of the trainable "
        f"variables; pass {ORDER}."),
    "state_length": (lambda: stateless(lambda o, g, t: (o[:-1], g, t)),
        f"Adam.stateless_apply optimizer_variables: expected 6 arrays, found 5; the order is "
        f"{ORDER}."),
    "grad_length": (lambda: stateless(lambda o, g, t: (o, g[:-1], t)),
        f"Adam.stateless_apply grads: expected 2 arrays, found 1; the order is {ORDER}."),
    "state_shape": (lambda: stateless(lambda o, g, t: (o[:-1] + [jnp.ones(9)], g, t)),
        "Adam.stateless_apply optimizer_variables: expected shape (3,) at [5] "
        f"('opt/b_velocity'), found shape (9,); the order is {ORDER}."),
    "trainable_shape": (lambda: stateless(lambda o, g, t: (o, g, [t[0], t[0]])),
        "Adam.stateless_apply trainable_variables: expected shape (3,) at [1] ('b'), found shape "
        f"(2,); the order is {ORDER}."),
    "trainable_none": (lambda: stateless(lambda o, g, t: (o, g, [t[0], None])),
        f"Adam.stateless_apply: expected the arguments {ORDER}, found them in another order; pass "
        f"{ORDER}."),
    "no_list": (lambda: stateless(lambda o, g, t: (o, {"a": g[0]}, t)),
        "Adam.stateless_apply grads: expected a list of 2 arrays, found dict with keys ['a']; the "
        f"order is {ORDER}."),
    # attributes and state
    "assign_negative": (assign("learning_rate", -0.5),
        "Adam.learning_rate: expected a number that is not negative, found -0.5."),
    "assign_to_schedule": (assign_float_to_schedule,
        "SGD.learning_rate: expected a schedule or callable, like the one it has, found 0.5; "
        "create the optimizer with a float learning_rate to assign floats."),
    "assign_lr": (assign("lr", 0.5),
        "Adam: expected the attribute 'learning_rate', found 'lr'; write optimizer.learning_rate."),
    "load_count": (load([np.zeros(())]),
        "state of optimizer 'opt': expected 6 arrays, found 1."),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_message(name):
    act, text = ERRORS[name]
    with pytest.raises((ValueError, TypeError, RuntimeError, AttributeError,
                        NotImplementedError)) as error:  # fmt: skip
        act()
    assert str(error.value) == text


def test_a_refused_call_changes_nothing():
    optimizer, _, grads, made = built()
    before = [v.value for v in (*made, *optimizer.variables)]
    for wrong in ([grads[0], grads[0]], [None, None], grads[:1]):
        with pytest.raises(ValueError):
            optimizer.apply(wrong, made)
    with pytest.raises(ValueError):
        optimizer.set_weights([v + 1 for v in before[2:-1]] + [jnp.zeros(9)])
    assert all(v.value is b for v, b in zip((*made, *optimizer.variables), before, strict=True))


def test_decay_argument_is_said_to_have_no_effect():
    with pytest.warns(UserWarning, match="SGD: `decay` has no effect"):
        optimizers.SGD(decay=1e-6)
