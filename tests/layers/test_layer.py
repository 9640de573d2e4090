"""Layer: what every layer can do, whatever its maths."""

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import layers
from tests.expect import refused

X = np.ones((2, 3), "float32")


class Linear(layers.Layer):
    """A layer as users write them."""

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.builds = []

    def build(self, input_shape):
        self.builds.append(input_shape)
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="ones", regularizer="l2", name="w"
        )
        self.b = self.add_weight(
            shape=(self.units,), initializer="zeros", trainable=False, name="b"
        )

    def call(self, x):
        return x @ self.w + self.b


class Tower(layers.Layer):
    """Sublayers as attributes, in lists, tuples and dicts."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(4, name="first")
        self.chain = [layers.Dense(3, name="second"), (layers.Dropout(0.5, name="drop"),)]
        self.table = {"last": layers.Dense(1, use_bias=False, name="last")}

    def call(self, x):
        x = self.chain[0](self.first(x))
        return self.table["last"](self.chain[1][0](x))


# -- building ------------------------------------------------------------------------------------


def test_built_on_the_first_call_and_once():
    layer = Linear()
    assert not layer.built and layer.weights == []
    assert layer(X).tolist() == [[3, 3], [3, 3]]
    assert layer.built and layer.builds == [(2, 3)]
    layer(X[:1])
    assert layer.builds == [(2, 3)]
    assert [v.path for v in layer.weights] == ["linear/w", "linear/b"]


def test_build_called_by_hand():
    layer = Linear(name="top")
    layer.build((None, 3))
    layer.build((None, 5))
    assert layer.built and layer.builds == [(None, 3)]
    kernel = layer.w
    layer(X)
    assert layer.w is kernel and [v.path for v in layer.weights] == ["top/w", "top/b"]


def test_build_through_super_and_of_sublayers():
    class Wider(Linear):
        def build(self, input_shape):
            super().build(input_shape)
            self.extra = layers.Dense(1, name="extra")
            self.extra.build((None, self.units))
            self.scale = self.add_weight(name="scale")

        def call(self, x):
            return self.extra(super().call(x)) * self.scale

    layer = Wider(name="wide")
    layer(X)
    assert [v.path for v in layer.weights] == [
        "wide/w", "wide/scale", "wide/b", "wide/extra/kernel", "wide/extra/bias",
    ]  # fmt: skip


def test_a_build_that_fails_can_be_tried_again():
    layer = Linear(units=2)
    layer.units = None
    with pytest.raises(ValueError, match="Linear 'linear' add_weight"):
        layer(X)
    assert not layer.built and not layer.weights
    layer.units = 2
    layer(X)
    assert len(layer.weights) == 2


def test_symbolic_calls_build_with_unknown_sizes():
    layer = Linear()
    y = layer(stepfit.Input((3,)))
    assert (y.shape, layer.builds) == ((None, 2), [(None, 3)])
    assert layer.compute_output_shape((5, 3)) == (5, 2)
    assert layer.output is y and layer.input.shape == (None, 3)


def test_build_is_given_the_shapes_of_several_inputs():
    class Two(layers.Layer):
        def build(self, a_shape, b_shape):
            self.shapes = a_shape, b_shape
            self.w = self.add_weight(shape=(a_shape[-1], b_shape[-1]))

        def call(self, a, b, mask=None, training=None):
            return a @ self.w + b

    eager, graph = Two(), Two()
    assert eager(X, np.ones((2, 4))).shape == (2, 4) and eager.shapes == ((2, 3), (2, 4))
    assert graph(b=stepfit.Input((4,)), a=stepfit.Input((3,))).shape == (None, 4)
    assert graph.shapes == ((None, 3), (None, 4))


@pytest.mark.parametrize(
    ("inputs", "shapes"),
    [
        ([X, X], [(2, 3), (2, 3)]),
        ((X, X), ((2, 3), (2, 3))),
        ({"q": X, "a": X}, {"q": (2, 3), "a": (2, 3)}),
        ([X, {"k": X}], [(2, 3), {"k": (2, 3)}]),
    ],
)
def test_build_is_given_the_structure_of_the_inputs(inputs, shapes):
    class Any(layers.Layer):
        def build(self, input_shape):
            self.shape = input_shape

        def call(self, inputs):
            return jax.tree.leaves(inputs)[0]

    layer = Any()
    layer(inputs)
    assert layer.shape == shapes


def test_variables_made_in_the_first_call():
    class Lazy(layers.Layer):
        def call(self, x):
            if not hasattr(self, "w"):
                self.w = self.add_weight(shape=(x.shape[-1], 1), name="w")
            return x @ self.w

    for run in (lambda f: f(X), jax.jit, lambda f: f(stepfit.Input((3,)))):
        layer = Lazy(name="lazy")
        out = run(layer)
        out = out(X) if callable(out) else out
        assert out.shape[1:] == (1,)
        assert [v.path for v in layer.trainable_variables] == ["lazy/w"]
        assert not isinstance(layer.w.value, jax.core.Tracer)


def test_a_variable_made_in_every_call_is_refused():
    class Afresh(layers.Layer):
        def call(self, x):
            return x @ self.add_weight(shape=(x.shape[-1], 1), name="w").value

    layer = Afresh()
    layer(X)
    refused(
        lambda: layer(X), RuntimeError,
        "Afresh 'afresh' add_weight('w'): expected variables to be made before or in the first "
        "call, found one made in a later `call`, which would start afresh each time; make it in "
        "`build` or `__init__`.",
    )  # fmt: skip


def test_a_sublayer_made_in_call_is_refused():
    class Careless(layers.Layer):
        def call(self, x):
            return layers.Dense(2, name="lost")(x)

    text = (
        "Dense 'careless/lost': expected a layer that Careless 'careless' holds in an attribute, "
        "found one that it only calls, whose weights would never be trained or saved; make it in "
        "`__init__` as `self.layer = ...`."
    )
    refused(lambda: Careless(name="careless")(X), RuntimeError, text)
    refused(lambda: Careless(name="careless")(stepfit.Input((3,))), RuntimeError, text)

    class Weightless(layers.Layer):
        def call(self, x):
            return layers.ReLU()(x)

    assert Weightless()(X).shape == X.shape

    class Kept(layers.Layer):
        def call(self, x):
            if not hasattr(self, "inner"):
                self.inner = layers.Dense(2)
            return self.inner(x)

    kept = Kept()
    kept(X)
    assert len(kept.weights) == 2


# -- variables -----------------------------------------------------------------------------------


def tower(package):
    class Tower(package.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm = package.layers.BatchNormalization()
            self.chain = [package.layers.Dense(3), package.layers.Dropout(0.5)]
            self.table = {"last": package.layers.Dense(1, use_bias=False)}
            self.own = self.add_weight(shape=(3,), name="own")
            self.fixed = self.add_weight(shape=(2,), trainable=False, name="fixed")

        def call(self, x):
            x = self.chain[0](self.norm(x)) * self.own
            return self.table["last"](self.chain[1](x))

    layer = Tower(name="tower")
    layer(X)
    return layer


LISTS = ("weights", "variables", "trainable_variables", "non_trainable_variables",
         "trainable_weights", "non_trainable_weights")  # fmt: skip


def lists_of(layer):
    return {name: [v.path.split("/")[-1] for v in getattr(layer, name)] for name in LISTS}


@pytest.mark.parametrize(
    "change",
    [
        lambda t: None,
        lambda t: setattr(t, "trainable", False),
        lambda t: setattr(t.norm, "trainable", False),
        lambda t: (setattr(t, "trainable", False), setattr(t.norm, "trainable", True)),
        lambda t: (setattr(t, "trainable", False), setattr(t, "trainable", True)),
        lambda t: (setattr(t, "trainable", False), setattr(t.chain[0], "trainable", True),
                   setattr(t, "trainable", True)),
    ],
)  # fmt: skip
def test_lists_of_variables_are_keras(change):
    ours, theirs = tower(stepfit), tower(oracle)
    change(ours), change(theirs)
    assert lists_of(ours) == lists_of(theirs)
    assert ours.count_params() == theirs.count_params()
    assert ours.norm.trainable == theirs.norm.trainable


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m.layers[0], "trainable", False),
        lambda m: setattr(m, "trainable", False),
        lambda m: [setattr(m, "trainable", on) for on in (False, True)],
        lambda m: [setattr(m, "trainable", on) for on in (False, True, False, True)],
        lambda m: (setattr(m.layers[0], "trainable", False), setattr(m, "trainable", True)),
        lambda m: (setattr(m, "trainable", False), setattr(m.layers[0], "trainable", True)),
        lambda m: (setattr(m.layers[1].kernel, "trainable", False), setattr(m, "trainable", True)),
    ],
)  # fmt: skip
def test_freezing_reaches_the_variables_as_in_keras(change):
    def flags(package):
        base = package.Sequential([package.layers.Dense(2), package.layers.BatchNormalization()])
        model = package.Sequential([base, package.layers.Dense(1)])
        model.build((None, 3))
        change(model)
        return [v.trainable for v in model.variables], len(model.trainable_variables)

    assert flags(stepfit) == flags(oracle)


@pytest.mark.parametrize("thaw", [False, True])
def test_a_layer_built_after_freezing_has_frozen_variables_as_in_keras(thaw):
    def flags(package):
        model = package.Sequential([package.layers.BatchNormalization(), package.layers.Dense(2)])
        model.trainable = False
        model.build((None, 3))
        if thaw:
            model.trainable = True
        return [v.trainable for v in model.variables], len(model.trainable_variables)

    assert flags(stepfit) == flags(oracle)


def test_get_and_set_weights():
    layer = Linear()
    layer(X)
    w, b = layer.get_weights()
    assert isinstance(w, np.ndarray) and (w.shape, b.shape) == ((3, 2), (2,))
    layer.set_weights([w * 2, [5.0, 6.0]])
    assert layer(X).tolist() == [[11, 12], [11, 12]]
    refused(
        lambda: layer.set_weights([w]), ValueError,
        "Linear 'linear' set_weights(weights): expected 2 arrays, found 1; order and number are "
        "those of get_weights().",
    )  # fmt: skip
    refused(
        lambda: layer.set_weights([w, np.zeros(3)]), ValueError,
        "Linear 'linear' set_weights(weights[1]) for 'linear/b': expected shape (2,), found shape "
        "(3,).",
    )  # fmt: skip
    assert layer(X).tolist() == [[11, 12], [11, 12]]


def test_shared_layers_count_once():
    shared = layers.Dense(3)
    layer = Linear()
    layer.a, layer.b = shared, [shared]
    shared(X), layer(X)
    assert len(layer.weights) == 4


def test_a_layer_may_know_its_parent():
    class Child(layers.Layer):
        def __init__(self, parent):
            super().__init__()
            self.parent = parent
            self.w = self.add_weight(shape=(2,))

        def call(self, x):
            return x

    parent = Linear()
    parent.child = Child(parent)
    parent(X)
    assert len(parent.weights) == 3 and len(parent._flatten_layers()) == 2
    assert parent.count_params() == 10


def test_regularizers_and_constraints_are_the_variables():
    layer = layers.Dense(1, kernel_regularizer="l1", bias_constraint="non_neg")
    layer(X)
    assert isinstance(layer.kernel.regularizer, stepfit.regularizers.L1)
    assert isinstance(layer.bias.constraint, stepfit.constraints.NonNeg)
    assert layer.bias.regularizer is None


# -- losses --------------------------------------------------------------------------------------


class Costly(Linear):
    def call(self, x):
        self.add_loss(jnp.mean(x) * 2)
        self.add_loss([jnp.sum(x), jnp.ones(4) * 3])
        return super().call(x)


def test_losses_are_those_of_the_last_call():
    layer = Costly()
    for _ in range(2):
        layer(X)
        assert [float(v) for v in layer.losses] == pytest.approx([2, 6, 3, 0.06])
    layer(X * 2)
    assert [float(v) for v in layer.losses] == pytest.approx([4, 12, 3, 0.06])


def test_losses_of_everything_below():
    model = stepfit.Sequential([
        layers.Dense(2, kernel_initializer="ones", activity_regularizer="l2"),
        layers.Dense(1, kernel_initializer="ones", bias_initializer="ones",
                     kernel_regularizer="l1", bias_regularizer="l2"),
    ])  # fmt: skip
    theirs = oracle.Sequential([
        oracle.layers.Dense(2, kernel_initializer="ones", activity_regularizer="l2"),
        oracle.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones",
                            kernel_regularizer="l1", bias_regularizer="l2"),
    ])  # fmt: skip
    model(X), theirs(X)
    ours = sorted(float(v) for v in model.losses)
    assert ours == pytest.approx(sorted(float(v) for v in theirs.losses))
    model.layers[1].trainable = False  # what is not trained is not regularized
    theirs.layers[1].trainable = False
    assert len(model.losses) == len(theirs.losses) == 1


def test_losses_of_a_shared_layer_add_up():
    class Twice(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Costly()

        def call(self, x):
            return self.inner(x) + self.inner(x * 2)

    layer = Twice()
    layer(X)
    assert [float(v) for v in layer.losses] == pytest.approx([2, 6, 3, 4, 12, 3, 0.06])


def test_stateless_call():
    layer = Costly()
    layer(X)
    trainable = [v.value * 2 for v in layer.trainable_variables]
    frozen = [v.value + 1 for v in layer.non_trainable_variables]

    @jax.jit
    def run(trainable, frozen, x):
        return layer.stateless_call(trainable, frozen, x, return_losses=True)

    y, state, losses = run(trainable, frozen, X)
    assert y.tolist() == [[7, 7], [7, 7]] and state[0].tolist() == [1, 1]
    assert [float(v) for v in losses] == pytest.approx([2, 6, 3, 0.24])
    assert len(layer.stateless_call(trainable, frozen, X)) == 2
    assert layer.w.value.tolist() == [[1, 1]] * 3  # the layer itself is as it was
    grads = jax.grad(
        lambda t: sum(layer.stateless_call(t, frozen, X, return_losses=True)[2])
    )(trainable)  # fmt: skip
    np.testing.assert_allclose(grads[0], 0.04 * np.ones((3, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ([], []),
            "Linear 'linear' stateless_call(trainable_variables): expected 1 values, found 0; pass "
            "the values of `.trainable_variables`, in that order.",
        ),
        (
            ([np.ones((3, 2))], [1, 2]),
            "Linear 'linear' stateless_call(non_trainable_variables): expected 1 values, found 2; "
            "pass the values of `.non_trainable_variables`, in that order.",
        ),
        (
            ([np.ones((2, 2))], [np.ones(2)]),
            "Variable 'linear/w': expected a value of shape (3, 2), found shape (2, 2).",
        ),
    ],
)
def test_stateless_call_checks_the_state(arguments, text):
    layer = Linear()
    layer(X)
    refused(lambda: layer.stateless_call(*arguments, X), ValueError, text)


# -- training, masks, randomness -----------------------------------------------------------------


class Tells(layers.Layer):
    def call(self, x, training=None):
        self.seen = training
        return x


def test_training_comes_from_whoever_knows():
    inner = Tells()

    class Outer(layers.Layer):
        def __init__(self, forced=None):
            super().__init__()
            self.inner, self.forced = inner, forced

        def call(self, x):
            return self.inner(x) if self.forced is None else self.inner(x, training=self.forced)

    cases = [
        (inner, {}, False), (inner, {"training": True}, True), (inner, {"training": None}, False),
        (Outer(), {}, False), (Outer(), {"training": True}, True),
        (Outer(False), {"training": True}, False), (Outer(True), {}, True),
        (stepfit.Sequential([inner]), {"training": True}, True),
        (stepfit.Sequential([stepfit.Input((3,)), inner]), {}, False),
    ]  # fmt: skip
    for layer, arguments, expected in cases:
        layer(X, **arguments)
        assert inner.seen is expected, (layer, arguments)


def test_a_default_of_the_layers_own():
    class On(layers.Layer):
        def call(self, x, training=True):
            return x * training

    assert On()(X)[0, 0] == 1 and On()(X, training=False)[0, 0] == 0


class Mask(layers.Layer):
    def call(self, x, mask=None):
        self.seen = mask
        return x


def test_masks_flow():
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    expected = tokens != 0
    last = Mask()
    model = stepfit.Sequential([
        layers.Embedding(5, 4, mask_zero=True), layers.Dropout(0.5), layers.Dense(2), last,
    ])  # fmt: skip
    y = model(tokens)
    assert (np.asarray(last.seen) == expected).all() and (y._keras_mask == expected).all()
    masks = jax.jit(lambda t: (model(t), last.seen)[1])(tokens)
    assert (masks == expected).all()
    x = stepfit.Input((3,), dtype="int32")
    functional = stepfit.Model(x, last(layers.Dense(2)(layers.Embedding(5, 4, mask_zero=True)(x))))
    assert (functional(tokens)._keras_mask == expected).all()


def test_masks_end_where_a_layer_has_none():
    last = Mask()
    model = stepfit.Sequential([
        layers.Embedding(5, 4, mask_zero=True), layers.Flatten(), layers.Dense(2), last,
    ])  # fmt: skip
    theirs = oracle.Sequential([
        oracle.layers.Embedding(5, 4, mask_zero=True), oracle.layers.Flatten(),
        oracle.layers.Dense(2),
    ])  # fmt: skip
    model(np.array([[1, 0]]))
    assert last.seen is None and getattr(theirs(np.array([[1, 0]])), "_keras_mask", None) is None


def test_masks_given_by_hand_win():
    layer = Mask()
    x = layers.Masking()(np.array([[[1.0], [0.0]]]))
    layer(x)
    assert layer.seen.tolist() == [[True, False]]
    layer(x, mask=np.array([[False, True]]))
    assert layer.seen.tolist() == [[False, True]]


def test_masks_of_several_inputs():
    class Both(layers.Layer):
        def call(self, xs, mask=None):
            self.seen = mask
            return xs[0]

    class Named(layers.Layer):
        def call(self, query, value, query_mask=None, value_mask=None):
            self.seen = query_mask, value_mask
            return query

    a = layers.Masking()(np.array([[[1.0], [0.0]]]))
    b = jnp.ones((1, 2, 1))
    both, named = Both(), Named()
    both([a, b])
    assert both.seen[0].tolist() == [[True, False]] and both.seen[1] is None
    named(b, a)
    assert named.seen[0] is None and named.seen[1].tolist() == [[True, False]]


class Noisy(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = [stepfit.random.SeedGenerator(1)]

    def call(self, x):
        return x + stepfit.random.normal(x.shape, seed=self.seeds[0])


def test_seed_generators_are_state():
    layer = Noisy()
    first, second = layer(X), layer(X)
    assert (first != second).all()
    assert layer.weights == [] and len(layer.variables) == 1 and layer.trainable_variables == []
    assert layer.count_params() == 0
    state = [jnp.array([1, 0], "uint32")]
    run = jax.jit(layer.stateless_call)
    y, state = run([], state, X)
    np.testing.assert_allclose(y, first, rtol=1e-6)
    y, state = run([], state, X)
    np.testing.assert_allclose(y, second, rtol=1e-6)
    assert layer.variables[0].value.tolist() == [1, 2]


def test_layers_inside_jit():
    layer, tower = Linear(), Tower()
    np.testing.assert_allclose(jax.jit(layer)(X), np.full((2, 2), 3))
    assert not isinstance(layer.w.value, jax.core.Tracer)
    np.testing.assert_allclose(jax.jit(tower)(X), tower(X), rtol=1e-5)
    assert jax.vmap(layer)(X[None]).shape == (1, 2, 2)
    assert jax.eval_shape(Linear(), X).shape == (2, 2)
    grad = jax.grad(lambda x: layer(x).sum())(X)
    np.testing.assert_allclose(grad, np.full((2, 3), 2))


# -- arguments -----------------------------------------------------------------------------------


def test_inputs_are_converted():
    layer = Linear(name="x")
    for x in ([[1.0, 1.0, 1.0]], X[:1], X[:1].astype("float64"), stepfit.Variable(X[:1])):
        out = layer(x)
        assert isinstance(out, jax.Array) and out.tolist() == [[3, 3]]
    assert layer(X.astype("int32"))[0].tolist() == [3, 3]


def no_super(base):
    class Bare(base):
        def __init__(self):
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    return Bare()


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m(X), lambda m: m.weights, lambda m: m.build((None, 3)), lambda m: m.name,
        lambda m: m.add_weight(shape=(1,)), lambda m: m.count_params(), lambda m: m.losses,
    ],
)  # fmt: skip
@pytest.mark.parametrize("base", [layers.Layer, stepfit.Model])
def test_super_init_forgotten(base, use):
    refused(
        lambda: use(no_super(base)), RuntimeError,
        "Bare: expected `super().__init__()` to have been called, found it missing; call it first "
        "in `__init__`.",
    )  # fmt: skip


class Nothing(layers.Layer):
    def call(self, x):
        _ = x + 1


class NoCall(layers.Layer):
    pass


@pytest.mark.parametrize(
    ("run", "kind", "text"),
    [
        (
            lambda: Nothing()(X), ValueError,
            "Nothing 'nothing' call: expected an array or a structure of arrays, found None; end "
            "`call` with a return statement.",
        ),
        (
            lambda: Nothing()(stepfit.Input((3,))), ValueError,
            "Nothing 'nothing' call: expected an array or a structure of arrays, found None; end "
            "`call` with a return statement.",
        ),
        (
            lambda: NoCall()(X), RuntimeError,
            "NoCall 'no_call': expected a `call` method, found none; define "
            "`def call(self, inputs): ...`.",
        ),
        (
            lambda: layers.Dense(1)(X, trainig=True), ValueError,
            "Dense 'dense' call: expected the name of an argument, found 'trainig'; did you mean "
            "'training'?",
        ),
        (
            lambda: layers.Dense(1)(), TypeError,
            "Dense 'dense' call: missing a required argument: 'inputs'; its arguments are "
            "(inputs).",
        ),
        (
            lambda: layers.Dense(1)(X, X), TypeError,
            "Dense 'dense' call: too many positional arguments; its arguments are (inputs).",
        ),
        (
            lambda: layers.Dense(1)(None), TypeError,
            "Dense 'dense' call(inputs): expected an array, found None.",
        ),
        (
            lambda: layers.Dense(1)("text"), TypeError,
            "Dense 'dense' call(inputs): expected an array, found 'text'.",
        ),
        (
            lambda: layers.Dense(1, activaton="relu"), ValueError,
            "Dense(...): expected the name of an argument, found 'activaton'; did you mean "
            "'activation'?",
        ),
        (
            lambda: layers.Dense(1)(np.ones(3)), ValueError,
            "Dense 'dense' input: expected at least 2 axes, found 1 axes, shape (3,).",
        ),
        (
            lambda: layers.Dense(1).count_params(), ValueError,
            "Dense 'dense': expected a built layer to count parameters of, found one whose "
            "variables do not exist yet; call it on data or call build(input_shape) first.",
        ),
        (
            lambda: layers.Dense(1).stateless_call([], [], X), ValueError,
            "Dense 'dense' stateless_call: expected a built layer, found one whose variables do "
            "not exist yet; call it on data or call build(input_shape) first.",
        ),
        (
            lambda: layers.Dense(1).output, AttributeError,
            "Dense 'dense' has no 'output': it was never called on a symbolic tensor.",
        ),
        (
            lambda: layers.Dense(1).add_weight(shape=(None, 2)), ValueError,
            "Dense 'dense' add_weight(shape): expected sizes that are all known, found (None, 2); "
            "give the Input these sizes.",
        ),
        (
            lambda: stepfit.Input(3), TypeError,
            "Input(shape): expected a tuple, found 3; write (3,).",
        ),
        (
            lambda: stepfit.Input(), ValueError,
            "Input(shape): expected a tuple such as (28, 28, 1), found None; the batch axis is "
            "left out.",
        ),
        (
            lambda: stepfit.Input((-1, 2)), ValueError,
            "Input(shape): expected non-negative ints and None, found (-1, 2).",
        ),
    ],
)  # fmt: skip
def test_refused_word_for_word(run, kind, text):
    refused(run, kind, text)


def test_other_attributes_are_plain_attribute_errors():
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'kernal'"):
        _ = layers.Dense(1).kernal
    assert not hasattr(layers.Dense(1), "kernel")


def test_errors_in_call_name_the_layer_and_its_inputs():
    class Broken(layers.Layer):
        def call(self, x):
            raise KeyError("inside")

    class Outer(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Broken(name="inner")

        def call(self, x):
            return self.inner(x)

    with pytest.raises(KeyError, match="inside") as caught:
        Outer(name="outer")(X)
    assert caught.value.__notes__[:2] == [
        "In Broken 'outer/inner', called with x=float32[2,3].",
        "In Outer 'outer', called with x=float32[2,3].",
    ]


def test_the_last_axis_is_as_built():
    layer = layers.Dense(1)
    layer(X)
    refused(
        lambda: layer(np.ones((2, 4))), ValueError,
        "Dense 'dense' input axis -1: expected size 3 (as built), found size 4, shape (2, 4).",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "shape", "text"),
    [
        ({"ndim": 2}, (1, 2, 3), "input: expected 2 axes, found 3 axes, shape (1, 2, 3)."),
        ({"max_ndim": 1}, (1, 2), "input: expected at most 1 axes, found 2 axes, shape (1, 2)."),
        ({"shape": (None, 3)}, (1, 2), "input: expected shape (None, 3), found shape (1, 2)."),
        (
            {"axes": {1: 3}}, (1, 2),
            "input axis 1: expected size 3 (as built), found size 2, shape (1, 2).",
        ),
    ],
)  # fmt: skip
def test_input_spec(spec, shape, text):
    class Spec(layers.Layer):
        def call(self, x):
            return x

    layer = Spec()
    layer.input_spec = layers.InputSpec(**spec)
    refused(lambda: layer(np.ones(shape)), ValueError, f"Spec 'spec' {text}")


# -- losses of an earlier call, writes beside the state ------------------------------------------


class OnlyInTraining(layers.Layer):
    def call(self, x, training=False):
        if training:
            self.add_loss(jnp.sum(x))
        return x


def test_a_call_that_adds_no_loss_leaves_none():
    model = stepfit.Sequential([OnlyInTraining()])
    model(X, training=True)
    assert len(model.losses) == 1
    model(X)
    assert model.losses == []
    with stepfit.StatelessScope():
        model(X, training=True)
        assert len(model.losses) == 1
        model(X)
        assert model.losses == []


def test_a_holder_has_the_losses_of_parts_called_by_themselves():
    class Holder(stepfit.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = OnlyInTraining(), OnlyInTraining()

        def call(self, x):
            return self.two(self.one(x))

    holder = Holder()
    holder.one(X, training=True), holder.two(X, training=True)
    assert len(holder.losses) == 2
    holder(X)
    assert holder.losses == []
    holder.one(X, training=True), holder.two(X, training=True)  # after the holder's own call
    assert len(holder.losses) == 2


class Counting(layers.Layer):
    """Holds a metric, whose Variables are not among its own."""

    def __init__(self):
        super().__init__(name="counting")
        self.seen = stepfit.metrics.Mean(name="seen")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.built = True

    def call(self, x, through=False):
        self.seen.update_state(x * self.scale if through else x)
        return x * self.scale


LOST = (
    "Counting 'counting' stateless_call: expected `call` to assign only to the layer's variables, "
    "found 'seen/total' assigned; its new value would be lost: call it inside `with "
    "stepfit.StatelessScope([(variable, value)]) as scope:`, within the function that is "
    "transformed, and return scope.get_current_value(variable) from there."
)


def test_a_write_beside_the_state_is_handed_on_to_the_scope_around():
    layer = Counting()
    variables = layer.seen.variables

    @jax.jit
    def run(values, x):
        with stepfit.StatelessScope(zip(variables, values, strict=True)) as scope:
            layer.stateless_call([v.value for v in layer.trainable_variables], [], 3 * x)
        return [scope.get_current_value(v) for v in variables]

    total, count = run([v.value for v in variables], X)
    assert float(total) / float(count) == 3.0
    assert float(layer.seen.result()) == 0.0


@pytest.mark.parametrize("scoped", [False, True])
def test_a_write_beside_the_state_is_never_lost_without_a_word(scoped):
    layer = Counting()

    def loss(trainable):
        return jnp.sum(layer.stateless_call(trainable, [], X, through=True)[0])

    def run():
        if not scoped:
            return jax.jit(jax.grad(loss))([jnp.ones(())])
        with stepfit.StatelessScope([(v, v.value) for v in layer.seen.variables]):
            return jax.grad(loss)([jnp.ones(())])

    refused(run, ValueError, LOST)
    assert float(layer.seen.result()) == 0.0


@pytest.mark.parametrize("eager", [False, True])
def test_a_metric_in_a_layer_counts_in_a_stateless_step(eager):
    class Own(stepfit.Model):
        def __init__(self):
            super().__init__()
            self.inner = Counting()

        def call(self, x):
            return self.inner(x)

        def train_step(self, state, data):
            trainable, fixed, optimizer, metrics = state

            def loss(trainable):
                return jnp.sum(self.stateless_call(trainable, fixed, data[0])[0] ** 2)

            value, grads = jax.value_and_grad(loss)(trainable)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, grads, trainable)
            return {"value": value}, (trainable, fixed, optimizer, metrics)

    model = Own()
    model.compile("sgd", run_eagerly=eager)
    model.fit(2 * X, X, verbose=0)
    assert float(model.inner.seen.result()) == 2.0
