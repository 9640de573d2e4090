"""Mistakes in layers and models of one's own."""

import numpy as np

import stepfit as keras
from tests.bad_input.common import L, Row, X, Y, compiled, fit, mlp, rows


class NumPyInside(L.Layer):
    def call(self, x):
        return np.tanh(x)


class Net(keras.Model):
    """A base for models with one mistake each."""

    def __init__(self):
        super().__init__(name="net")
        self.out = L.Dense(1, name="out")

    def call(self, x):
        return self.out(x)


class VariableInCall(Net):
    def call(self, x):
        return self.out(x) * keras.Variable(1.0, name="scale")


class WeightInLaterCall(Net):
    def call(self, x):
        return self.out(x) + self.add_weight(shape=(), name="late")


class NoSuper(keras.Model):
    def __init__(self):
        self.out = L.Dense(1)


class LateSuper(keras.layers.Layer):
    def __init__(self):
        self.scale = self.add_weight(shape=())
        super().__init__()


class LayerInCall(Net):
    def call(self, x):
        return self.out(L.Dense(3, name="made")(x))


_outside = L.Dense(4, name="outside")
_outside.build((None, 4))


class Untracked(Net):
    def call(self, x):
        return self.out(_outside(x))


class UntrackedVariable(Net):
    def call(self, x):
        return self.out(x) * _scale


_scale = keras.Variable(2.0, name="scale")


class Holder:
    def __init__(self):
        self.layer = L.Dense(4, name="held")


class InPlainObject(Net):
    def __init__(self):
        super().__init__()
        self.holder = Holder()

    def call(self, x):
        return self.out(self.holder.layer(x))


class ReturnsNone(Net):
    def call(self, x):
        self.out(x)


class NumpyInCall(Net):
    def call(self, x):
        return self.out(np.tanh(x))


class FloatInCall(Net):
    def call(self, x):
        return self.out(x) * float(x.mean())


class IfInCall(Net):
    def call(self, x):
        return self.out(x) if x.mean() > 0 else self.out(-x)


class NoCall(keras.Model):
    pass


class Lists(Net):
    def call(self, x):
        return [[self.out(x)], "text"]


def refit(change):
    """Return a function that changes the model and fits it."""

    def call(model):
        change(model)
        model.fit(X, Y, verbose=0)

    return call


def freeze_then_thaw(model):
    model.layers[0].trainable = False


def thaw(model):
    model.layers[0].trainable = True


def frozen():
    model = mlp()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def all_frozen():
    model = mlp()
    model.trainable = False
    model.compile("sgd", "mse")
    return model


def without_weights():
    return compiled(keras.Sequential([keras.Input((4,)), L.Flatten()], name="m"))


def another(model):
    other = mlp()
    other.compile(model.optimizer, "mse")
    other.fit(X, Y, verbose=0)


def row(name, cls, text, **more):
    return Row(name, more.pop("call", fit()), text, lambda: compiled(cls()), **more)


ROWS = [
    row("a Variable made in call", VariableInCall,
        "VariableInCall 'net' call: expected to use trainable variables that the model holds, "
        "found 'net/scale', which no attribute of it leads to and which would never be trained; "
        "hold the layer or Variable as an attribute, as in self.layer = ..., or set its "
        "`trainable` to False."),
    row("a weight made in each call", WeightInLaterCall,
        "WeightInLaterCall 'net' add_weight('late'): expected variables to be made before or in "
        "the first call, found one made in a later `call`, which would start afresh each time; "
        "make it in `build` or `__init__`.\n"
        "In WeightInLaterCall 'net', called with x=float32[16,4].", call=lambda m: (m(X), m(X))),
    row("a layer made in call", LayerInCall,
        "Dense 'net/made': expected a layer that LayerInCall 'net' holds in an attribute, found "
        "one that it only calls, whose weights would never be trained or saved; make it in "
        "`__init__` as `self.layer = ...`.\n"
        "In LayerInCall 'net', called with x=float32[16,4]."),
    row("a layer that no attribute holds", Untracked,
        "Untracked 'net' call: expected to use trainable variables that the model holds, found "
        "'outside/kernel', 'outside/bias', which no attribute of it leads to and which would "
        "never be trained; hold the layer or Variable as an attribute, as in self.layer = ..., "
        "or set its `trainable` to False."),
    row("a Variable that no attribute holds", UntrackedVariable,
        "UntrackedVariable 'net' call: expected to use trainable variables that the model "
        "holds, found 'scale', which no attribute of it leads to and which would never be "
        "trained; hold the layer or Variable as an attribute, as in self.layer = ..., or set "
        "its `trainable` to False."),
    row("a layer held by a plain object", InPlainObject,
        "Dense 'net/held': expected a layer that InPlainObject 'net' holds in an attribute, "
        "found one that it only calls, whose weights would never be trained or saved; make it "
        "in `__init__` as `self.layer = ...`.\n"
        "In InPlainObject 'net', called with x=float32[16,4]."),
    row("call returns None", ReturnsNone,
        "ReturnsNone 'net' call: expected an array or a structure of arrays, found None; end "
        "`call` with a return statement."),
    row("numpy in call", NumpyInCall,
        "(TracerArrayConversionError)\n"
        "In NumpyInCall 'net', called with x=float32[16,4].\n"
        "In NumpyInCall 'net', which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("float in call", FloatInCall,
        "(ConcretizationTypeError)\n"
        "In FloatInCall 'net', called with x=float32[16,4].\n"
        "In FloatInCall 'net', which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("if in call", IfInCall,
        "(TracerBoolConversionError)\n"
        "In IfInCall 'net', called with x=float32[16,4].\n"
        "In IfInCall 'net', which is compiled: Python `if`, float(), int() and NumPy's "
        "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
        "(where, cond), or compile(run_eagerly=True) while you look for a mistake."),
    row("no call", NoCall,
        "NoCall 'no_call' train_step: expected a `call` method or (inputs, outputs), found "
        "neither; define `def call(self, inputs): ...`, or an own train_step."),
    row("text in the outputs", Lists,
        "Lists 'net' call: expected arrays, found 'text'; return arrays, in tuples, lists or "
        "dicts."),
    *rows(
        mlp,
        ("no super().__init__()", lambda m: NoSuper()(X),
         "NoSuper: expected `super().__init__()` to have been called, found it missing; call it "
         "first in `__init__`."),
        ("super().__init__() too late", lambda m: LateSuper(),
         "LateSuper: expected `super().__init__()` to have been called, found it missing; call "
         "it first in `__init__`."),
        ("an optimizer used for another model", another,
         "SGD 'sgd': expected the 4 variables it was built with ('m/hidden/kernel', "
         "'m/hidden/bias', 'm/out/kernel' and 1 more), found 4 unknown ones: 'm/hidden/kernel', "
         "'m/hidden/bias', 'm/out/kernel', 'm/out/bias'; an optimizer serves one set of "
         "variables; make a new SGD(...) for another."),
        ("a layer added after fit",
         lambda m: (m.add(L.Dense(1, name="more")), fit()(m)),
         "Sequential 'm' fit: expected the trainable variables that the optimizer was built "
         "for, found 2 more, such as 'm/more/kernel'; after unfreezing or adding layers call "
         "compile() again, with a new optimizer."),
        ("a layer's class in Sequential", lambda m: keras.Sequential([L.Dense]),
         "Sequential 'sequential' layers[0]: expected a layer instance, found the class Dense; "
         "write Dense(...)."),
        ("a number in Sequential", lambda m: keras.Sequential([3]),
         "Sequential 'sequential' layers[0]: expected a layer instance, found 3."),
        ("units 0", lambda m: L.Dense(0),
         "Dense(units): expected a positive int, found 0."),
        ("units text", lambda m: L.Dense("8"),
         "Dense(units): expected a positive int, found '8'."),
        ("an activation's typo", lambda m: L.Dense(1, activation="rleu"),
         "activation: expected the name of an activation, found 'rleu'; did you mean 'relu'?"),
        ("an initializer's typo", lambda m: L.Dense(1, kernel_initializer="zero_s"),
         "initializer: expected the name of an initializer, found 'zero_s'; did you mean "
         "'zeros'?"),
        ("a regularizer's typo", lambda m: L.Dense(1, kernel_regularizer="l3"),
         "regularizer: expected the name of a regularizer, found 'l3'; known names: 'L1', "
         "'L1L2', 'L2', 'OrthogonalRegularizer', 'l1', 'l1_l2', 'l1l2', 'l2', "
         "'orthogonal_regularizer'."),
        ("a misspelt argument", lambda m: L.Dense(1, activaton="relu"),
         "Dense(...): expected the name of an argument, found 'activaton'; did you mean "
         "'activation'?"),
        ("a misspelt argument beside a missing one",
         lambda m: L.MultiHeadAttention(heads=2, key_dim=3),
         "MultiHeadAttention(...): expected the name of an argument, found 'heads'; did you "
         "mean 'num_heads'?"),
        ("a missing argument", lambda m: L.MultiHeadAttention(2),
         "MultiHeadAttention(...): expected the argument 'key_dim', found none; pass "
         "key_dim=...."),
        ("too many arguments", lambda m: L.Flatten(1, 2, 3),
         "Flatten(...): expected at most 1 arguments by position (data_format), found 3; pass "
         "the others by name."),
        ("alpha of LeakyReLU", lambda m: L.LeakyReLU(alpha="0.1"),
         "LeakyReLU(negative_slope): expected a number of at least 0, found '0.1'."),
        ("a misspelt argument of a call", lambda m: m(X, trainin=True),
         "Sequential 'm' call: expected the name of an argument, found 'trainin'; did you mean "
         "'training'?"),
        ("a layer's name with a slash", lambda m: L.Dense(1, name="a/b"),
         "Dense name: expected a name without path separators, found 'a/b'; use '_' in place of "
         "'/'."),
        ("NumPy's functions in a layer", lambda m: m.add(NumPyInside(name="odd")),
         "(TracerArrayConversionError)\n"
         "In NumPyInside 'm/odd', called with x=float32[462,1].\n"
         "This happened while finding the output shape of NumPyInside 'odd' for inputs "
         "float32(None, 1) (unknown sizes were tried as (462, 1)).\n"
         "In NumPyInside 'odd', which is traced for that: Python `if`, float(), int() and NumPy's "
         "functions need values, and traced arrays have none. Use stepfit.ops or jax.numpy "
         "(where, cond)."),
        ("add_weight with the name first", lambda m: L.ReLU().add_weight("scale", shape=(3,)),
         "ReLU.add_weight(shape): expected a tuple of ints, found 'scale'; write "
         "add_weight(shape=..., name='scale')."),
        ("two layers of one name",
         lambda m: keras.Sequential([keras.Input((4,)), L.Dense(1, name="a"),
                                     L.Dense(1, name="a")]),
         "Sequential 'sequential' layers: expected names that differ, found 'a' twice; pass "
         "name= to one of them."),
        ("a misspelt layer", lambda m: L.Dens(1),
         "module 'stepfit.layers' has no attribute 'Dens'; did you mean 'Dense'?"),
        ("a misspelt attribute of the package", lambda m: keras.Sequentail,
         "module 'stepfit' has no attribute 'Sequentail'; did you mean 'Sequential'?"),
        ("set_weights of the wrong number", lambda m: m.set_weights([X]),
         "Sequential 'm' set_weights(weights): expected 4 arrays, found 1; order and number are "
         "those of get_weights()."),
        ("set_weights of the wrong shape",
         lambda m: m.set_weights([w.T for w in m.get_weights()]),
         "Sequential 'm' set_weights(weights[0]) for 'm/hidden/kernel': expected shape (4, 3), "
         "found shape (3, 4)."),
        ("assign of another shape", lambda m: m.layers[0].kernel.assign(X),
         "Variable 'm/hidden/kernel': expected a value of shape (4, 3), found shape (16, 4)."),
        ("an unknown layer's name", lambda m: m.get_layer("hiden"),
         "Sequential 'm' get_layer(name): expected the name of a layer, found 'hiden'; did you "
         "mean 'hidden'?"),
        ("set_state of other values",
         lambda m: m.set_state(([], [], [], [])),
         "set_state(trainable_variables): expected 4 values, found 0; pass the values of "
         "`.trainable_variables`, in that order."),
    ),
    *rows(frozen, ("unfrozen after compile", refit(thaw),
     "Sequential 'm' fit: expected the trainable variables that the optimizer was built for, "
     "found 2 more, such as 'm/hidden/kernel'; after unfreezing or adding layers call compile() "
     "again, with a new optimizer.")),
    *rows(all_frozen, ("nothing to train", fit(),
     "Sequential 'm' fit: expected at least one trainable variable, found none; hold layers in "
     "attributes of the model, and check `trainable`.")),
    *rows(without_weights, ("no weights at all", fit(X, X),
     "Sequential 'm' fit: expected at least one trainable variable, found none; hold layers in "
     "attributes of the model, and check `trainable`.")),
    # taken as it is
    *rows(mlp, ("frozen after compile", refit(freeze_then_thaw), None)),
    *rows(mlp, ("alpha of tf.keras", lambda m: L.LeakyReLU(alpha=0.1)(X), None)),
]  # fmt: skip
