"""Variable: a named array that is its value at every JAX boundary."""

import copy
import operator
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stepfit
from stepfit.core import scope as scopes
from tests.expect import refused

Variable = stepfit.Variable


@pytest.mark.parametrize(
    ("value", "given_dtype", "dtype"),
    [
        (1.5, None, "float32"),
        (3, None, "int32"),
        (True, None, "bool"),
        ([[1.0, 2.0]], None, "float32"),
        ([1, 2], None, "int32"),
        (np.ones(2), None, "float32"),
        (np.ones(2, "int64"), None, "int32"),
        (np.ones(2, "float16"), None, "float16"),
        (np.ones(2), "bfloat16", "bfloat16"),
        (jnp.ones(2, "uint8"), None, "uint8"),
        (1, "float32", "float32"),
        (1j, None, "complex64"),
    ],
)
def test_dtype_of_a_value(value, given_dtype, dtype):
    v = Variable(value, dtype=given_dtype)
    assert v.dtype == v.value.dtype.name == dtype
    assert v.shape == np.shape(value)
    assert v.ndim == np.ndim(value) and v.size == np.size(value)
    np.testing.assert_array_equal(v.numpy(), np.asarray(value))


def test_a_variable_made_from_a_variable_is_independent():
    a = Variable([1.0, 2.0], dtype="float16")
    b = Variable(a)
    a.assign([5.0, 6.0])
    assert b.dtype == "float16" and b.numpy().tolist() == [1.0, 2.0]


def test_initial_values_are_copied():
    given = np.ones(3, "float32")
    v = Variable(given)
    given[0] = 7
    assert v.numpy().tolist() == [1, 1, 1]
    out = v.numpy()
    out[0] = 7
    assert v.numpy().tolist() == [1, 1, 1]


def test_callables_and_names_of_initializers():
    v = Variable(lambda shape, dtype: jnp.full(shape, 3, dtype), shape=(2, 1), dtype="int8")
    assert (v.dtype, v.numpy().tolist()) == ("int8", [[3], [3]])
    assert Variable("ones", shape=(2,)).numpy().tolist() == [1, 1]
    assert Variable(stepfit.initializers.Constant(2.0), shape=()).numpy() == 2


def test_name_path_and_trainable():
    with stepfit.name_scope("encoder"), stepfit.name_scope("dense"):
        v = Variable(1.0, name="kernel", trainable=False)
    assert (v.name, v.path, v.trainable) == ("kernel", "encoder/dense/kernel", False)
    v.trainable = True
    assert v.trainable is True
    assert [Variable(0.0).name for _ in range(3)] == ["variable", "variable_1", "variable_2"]


def test_repr():
    assert repr(Variable([1.0, 2.0], name="v")) == (
        "<Variable path=v, shape=(2,), dtype=float32, value=[1. 2.]>"
    )
    assert repr(Variable(np.zeros(9), name="w")) == "<Variable path=w, shape=(9,), dtype=float32>"
    v = Variable(1.0, name="x")
    assert f"{v}" == repr(v) and f"{v:.2f}" == "1.00"

    def show(value):
        with stepfit.StatelessScope([(v, value)]):
            shown.append(repr(v))
        return value

    shown = []
    jax.jit(show)(2.0)
    assert shown[0].startswith("<Variable path=x, shape=(), dtype=float32, value=")
    assert "Tracer" in shown[0] and "2." not in shown[0]


# -- writing -------------------------------------------------------------------------------------


def test_assignment_returns_the_variable_and_casts():
    v = Variable([1.0, 2.0])
    assert v.assign([3, 4]) is v
    assert v.assign_add(np.array([1.0, 1.0])) is v and v.assign_sub(0.5) is v
    assert v.dtype == "float32" and v.numpy().tolist() == [3.5, 4.5]
    v.assign(Variable([9.0, 9.0], dtype="bfloat16"))
    assert v.value.dtype == "float32" and v.numpy().tolist() == [9, 9]
    held = v.value
    v.assign_add(v)
    assert held.tolist() == [9, 9] and v.numpy().tolist() == [18, 18]


def test_assigning_needs_the_shape():
    v = Variable([1.0, 2.0], name="v")
    text = "Variable 'v': expected a value of shape (2,), found shape {}."
    refused(lambda: v.assign([1.0, 2.0, 3.0]), ValueError, text.format((3,)))
    refused(lambda: v.assign(0.0), ValueError, text.format(()))
    refused(lambda: v.assign_add(np.ones((3, 2))), ValueError, text.format((3, 2)))
    assert v.numpy().tolist() == [1, 2]


def test_assigning_a_traced_value_outside_a_scope():
    v = Variable([1.0, 2.0], name="v")
    text = (
        "Variable 'v': a traced value was assigned outside a scope; the assignment would be lost "
        "and the tracer would leak. Inside jax.jit or jax.grad use stateless_call / "
        "stateless_apply / stateless_update_state, or wrap the code in `with "
        "stepfit.StatelessScope(zip(variables, values)) as scope:` and return "
        "scope.get_current_value(variable)."
    )
    keep = lambda x: v.assign(x * 2.0).value.sum()
    refused(lambda: jax.jit(keep)(jnp.ones(2)), ValueError, text)
    refused(lambda: jax.grad(keep)(jnp.ones(2)), ValueError, text)
    refused(lambda: jax.vmap(keep)(jnp.ones((3, 2))), ValueError, text)
    assert v.numpy().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: Variable([1.0], shape=(2,), name="v"), ValueError,
            "Variable 'v': expected an initial value of shape (2,), found shape (1,).",
        ),
        (
            lambda: Variable(np.zeros, name="v"), ValueError,
            "Variable 'v': expected a shape beside a callable initializer, found None; pass "
            "shape=(...).",
        ),
        (
            lambda: Variable(None, name="v"), TypeError,
            "Variable 'v': expected an initial value or a callable, found None.",
        ),
        (
            lambda: Variable(["a"], name="v"), TypeError,
            "Variable 'v': expected an initial value of numbers, found dtype str32.",
        ),
        (
            lambda: Variable(1.0, name="a/b"), ValueError,
            "Variable name: expected a name without path separators, found 'a/b'; use '_' in place "
            "of '/'.",
        ),
        (lambda: Variable(1.0, name=3), TypeError, "Variable name: expected a str, found 3."),
        (
            lambda: Variable(1.0, trainble=False), ValueError,
            "Variable(...): expected the name of an argument, found 'trainble'; did you mean "
            "'trainable'?",
        ),
        (
            lambda: Variable(1.0, dtype="flot32"), ValueError,
            "dtype: expected the name of a dtype, found 'flot32'; did you mean 'float32'?",
        ),
        (
            lambda: Variable(1.0, dtype="float64", name="v"), ValueError,
            "Variable 'v' dtype: expected a dtype that JAX has switched on, found 'float64'; call "
            'jax.config.update("jax_enable_x64", True) first.',
        ),
        (
            lambda: Variable("zeroes", shape=(2,), name="v"), ValueError,
            "initializer: expected the name of an initializer, found 'zeroes'; did you mean "
            "'zeros'?",
        ),
    ],
)  # fmt: skip
def test_refused_word_for_word(make, kind, text):
    refused(make, kind, text)


# -- behaving like an array ----------------------------------------------------------------------

BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]
numbers = st.integers(1, 20).map(lambda i: i / 4)


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(BINARY + COMPARE),
    left=st.lists(numbers, min_size=3, max_size=3),
    right=st.one_of(numbers, st.lists(numbers, min_size=3, max_size=3)),
    kinds=st.sampled_from([("v", "v"), ("v", "np"), ("np", "v"), ("v", "jnp"), ("jnp", "v"),
                           ("v", "py"), ("py", "v")]),
)  # fmt: skip
def test_arithmetic_is_numpys(name, left, right, kinds):
    def give(x, kind):
        if kind == "py" and isinstance(x, list):
            x = x[0]
        x = x if kind == "py" else np.asarray(x, "float32")
        return {"v": Variable, "np": np.asarray, "jnp": jnp.asarray, "py": float}[kind](x)

    fn = getattr(operator, name)
    a, b = (give(x, kind) for x, kind in zip((left, right), kinds, strict=True))
    result = fn(a, b)
    plain = [np.asarray(x.value if isinstance(x, Variable) else x) for x in (a, b)]
    assert isinstance(result, jax.Array)
    np.testing.assert_allclose(result, fn(*plain), rtol=1e-5)


def test_operators_on_other_kinds():
    v, i, b = Variable([[1.0, -2.0]]), Variable([6, 3]), Variable([True, False])
    assert (-v).tolist() == [[-1, 2]] and (+v).tolist() == [[1, -2]] and abs(v).tolist() == [[1, 2]]
    assert (~b).tolist() == [False, True]
    assert (i & 2).tolist() == [2, 2] and (1 | i).tolist() == [7, 3] and (i ^ i).tolist() == [0, 0]
    assert (i << 1).tolist() == [12, 6] and (i >> 1).tolist() == [3, 1]
    assert (v @ np.ones((2, 1), "f")).tolist() == [[-1]]
    assert (np.ones((3, 1), "f") @ v).shape == (3, 2)
    assert [x.tolist() for x in divmod(i, 4)] == [[1, 0], [2, 3]]
    assert round(Variable(1.26), 1) == pytest.approx(1.3)
    assert (float(Variable(1.5)), int(Variable(2)), bool(Variable(0))) == (1.5, 2, False)
    assert complex(Variable(2.0)) == 2 and [10, 20, 30][Variable(1)] == 20
    assert len(i) == 2 and [int(x) for x in i] == [6, 3] and v.T.shape == (2, 1)
    assert i[0] == 6 and i[Variable(1)] == 3 and v[..., Variable(0)].tolist() == [1]
    assert v[0, -1] == -2 and v[:, None].shape == (1, 1, 2)
    assert v.astype("int32").tolist() == [[1, -2]] and v.sum() == -1
    assert v.at[0, 0].set(5.0).tolist() == [[5, -2]]
    assert {v: "found"}[v] == "found"
    with pytest.raises(TypeError, match="unsized"):
        len(Variable(1.0))
    with pytest.raises(AttributeError, match="'Variable' object has no attribute 'valu'"):
        _ = v.valu


def test_numpy_conversion():
    v = Variable([[1.0, 2.0]])
    assert np.asarray(v).dtype == "float32" and np.array(v, "float64").dtype == "float64"
    assert np.sum(v) == 3 and np.asarray(v).tolist() == [[1, 2]]
    assert np.asarray(Variable(1.0, dtype="bfloat16")).dtype.name == "bfloat16"


def test_a_bound_array_stays_what_it_was():
    v = Variable([1.0, 2.0])
    before, alias = v.value, v
    v += 1.0
    assert before.tolist() == [1, 2] and alias.numpy().tolist() == [1, 2]
    assert isinstance(v, jax.Array)  # `+=` makes an array; assign_add changes the Variable


# -- at JAX's boundaries -------------------------------------------------------------------------

FUNCTIONS = [
    jnp.sum, jnp.sin, jnp.exp, jnp.mean, jnp.sort, jnp.asarray, jnp.array,
    jnp.square, jax.nn.relu, jax.nn.softmax, jnp.argmax, jnp.linalg.norm, jnp.cumsum, jnp.isnan,
    lambda x: jnp.concatenate([x, x]), lambda x: jnp.stack([x, x]), lambda x: jnp.maximum(x, 2),
    lambda x: jnp.where(x > 1, x, 0), lambda x: jnp.einsum("i,i->", x, x),
    lambda x: jnp.matmul(x, jnp.ones((3, 2))), lambda x: jnp.dot(x, x), jax.block_until_ready,
    lambda x: jax.lax.cond(True, jnp.sin, jnp.cos, x), jax.device_put, jax.jit(jnp.cos),
    lambda x: jax.lax.scan(lambda c, _: (c * 2, c), x, None, length=2)[1],
    jax.checkpoint(jnp.tanh), jax.vmap(lambda x: x * 2), jax.grad(lambda x: jnp.sum(x**3)),
    lambda x: jax.value_and_grad(lambda y: jnp.sum(y**2))(x)[1],
    lambda x: jax.tree.map(lambda a: a * 3, x), lambda x: jnp.broadcast_to(x, (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda f: getattr(f, "__name__", "fn"))
def test_functions_of_jax_take_a_variable(fn):
    value = np.array([3.0, 1.0, 2.0], "float32")
    np.testing.assert_allclose(fn(Variable(value)), fn(jnp.asarray(value)), rtol=1e-6)


def test_structures_of_variables():
    tree = {"a": Variable([1.0, 2.0]), "b": [Variable(3.0), Variable(4, trainable=False)]}
    assert [np.shape(x) for x in jax.tree.leaves(tree)] == [(2,), (), ()]
    moved = jax.tree.map(lambda x: x + 1, tree)
    assert isinstance(moved["b"][0], jax.Array) and moved["b"][0] == 4
    out = jax.jit(lambda t: jax.tree.map(lambda x: x * 2, t))(tree)
    assert out["a"].tolist() == [2, 4] and isinstance(out["a"], jax.Array)
    variables = [tree["a"], tree["b"][0]]

    def loss(values):
        return jnp.sum(values[0] ** 2) * values[1]

    value, grads = jax.jit(jax.value_and_grad(loss))(variables)
    assert value == 15 and grads[0].tolist() == [6, 12] and grads[1] == 5
    new = jax.tree.map(lambda g, v: v - 0.5 * g, grads, variables)  # arrays first
    assert new[0].tolist() == [-2, -4]
    assert jax.eval_shape(loss, variables).shape == ()
    mapped = jax.vmap(lambda a, b: a * b, in_axes=(0, None))(variables[0], variables[1])
    assert mapped.tolist() == [3, 6]


def test_a_jitted_function_is_traced_once_for_new_values():
    traces = []

    @jax.jit
    def double(x):
        traces.append(1)
        return x * 2

    v = Variable([1.0, 2.0])
    double(v)
    v.assign([5.0, 6.0])
    assert double(v).tolist() == [10, 12] and len(traces) == 1


def test_the_jax_versions_warn_of_nothing(recwarn):
    v = Variable([1.0, 2.0])
    jnp.sum(v), jax.jit(lambda x: x)(v), jnp.stack([v, v]), np.asarray(v), v * np.ones(2), v @ v
    assert not recwarn.list


@pytest.mark.parametrize(
    "inside",
    [
        lambda make: jax.jit(lambda x: make() * x)(1.0),
        lambda make: jax.grad(lambda x: make() * x)(1.0),
        lambda make: jax.vmap(lambda x: make() * x)(jnp.ones(2)),
        lambda make: jax.eval_shape(lambda x: make() * x, 1.0),
        lambda make: jax.lax.scan(lambda c, x: (c * make(), x), 1.0, jnp.ones(2)),
        lambda make: jax.checkpoint(lambda x: make() * x)(1.0),
    ],
    ids=["jit", "grad", "vmap", "eval_shape", "scan", "checkpoint"],
)
def test_making_one_inside_a_trace(inside):
    made = []

    def make():
        made.append(Variable("random_normal", shape=(3,), name="w"))
        return jnp.sum(made[-1].value)

    inside(make)
    assert not isinstance(made[0].value, jax.core.Tracer)
    assert np.all(np.isfinite(made[0].numpy())) and made[0].numpy().any()


# -- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_independent(duplicate):
    v = Variable([1.0, 2.0], name="v", trainable=False)
    other = duplicate([v, v])
    assert other[0] is other[1] and other[0] is not v
    other[0].assign([7.0, 8.0])
    assert v.numpy().tolist() == [1, 2]
    assert (other[0].path, other[0].dtype, other[0].trainable) == ("v", "float32", False)


def test_a_subclass_is_a_pytree_too():
    class Named(stepfit.Variable):
        pass

    assert jax.grad(lambda x: x**2)(Named(3.0)) == 6


def test_reading_in_another_dtype():
    f, i = Variable([1.0]), Variable([1])
    kept = Variable([1.0], autocast=False)
    with scopes.autocast("bfloat16"):
        assert (f.value.dtype, i.value.dtype, kept.value.dtype) == ("bfloat16", "int32", "float32")
        f.assign_add([2.0**-10])
    assert f.value.dtype == "float32" and f.numpy()[0] == 1 + 2.0**-10


def test_values_are_never_weakly_typed():
    v = Variable(1.0)
    assert v.assign(jnp.asarray(2.0)).value.weak_type is False
    with scopes.Scope([(v, jnp.asarray(3.0))]) as scope:
        assert scope.get_current_value(v).weak_type is False
    traces = []

    @jax.jit
    def read(value):
        traces.append(value)
        return value

    for value in (np.float32(1), jnp.asarray(2.0), 3.0):
        read(v.assign(value).value)
    assert len(traces) == 1
