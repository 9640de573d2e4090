"""Symbolic tensors and `@op`: functions on arrays, and on tensors that are not there yet."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit
from stepfit import ops
from stepfit.core import symbolic
from tests.expect import refused

Input = stepfit.Input


def run(inputs, outputs, *arrays):
    """Evaluate symbolic outputs on arrays."""
    return stepfit.Model(inputs, outputs)(list(arrays) if len(arrays) > 1 else arrays[0])


# -- operators -----------------------------------------------------------------------------------

BINARY = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "lt": operator.lt,
    "le": operator.le, "gt": operator.gt, "ge": operator.ge, "ne": operator.ne,
}  # fmt: skip
OTHERS = {
    "number": lambda: 2,
    "numpy": lambda: np.array([1.0, 2.0, 4.0], "float32"),
    "jax": lambda: jnp.array([1.0, 2.0, 4.0]),
    "variable": lambda: stepfit.Variable([1.0, 2.0, 4.0]),
}
DATA = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")


@pytest.mark.parametrize("other", OTHERS)
def test_operators_with_values_on_either_side(other):
    x, value = Input((3,)), OTHERS[other]()
    plain = 2.0 if other == "number" else np.asarray(value)
    pairs = [(fn(x, value), fn(DATA, plain)) for fn in BINARY.values()]
    pairs += [(fn(value, x), fn(plain, DATA)) for fn in BINARY.values()]
    for y, expected in pairs:
        assert isinstance(y, stepfit.KerasTensor) and y.shape == (None, 3)
        assert y.dtype == ("bool" if expected.dtype == bool else "float32")
    results = run(x, [y for y, _ in pairs], DATA)
    for result, (_, expected) in zip(results, pairs, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_operators_between_symbolic_tensors():
    x, y = Input((3,)), Input((3,))
    results = run([x, y], [fn(x, y) for fn in BINARY.values()], DATA, DATA + 1)
    for result, fn in zip(results, BINARY.values(), strict=True):
        np.testing.assert_allclose(result, fn(DATA, DATA + 1), rtol=1e-5)


def test_other_operators():
    x = Input((3,))
    y = [
        -x, abs(x), ~(x > 2), (x > 2) & (x < 5), (x > 2) | (x < 0), (x > 2) ^ (x > 3), x == 4,
        x[:, 0], x[:, None], x[..., 1:], x @ np.ones((3, 2), "float32"), x.reshape((-1, 1, 3)),
        x[:, :1].squeeze(-1), round(x, 1),
    ]  # fmt: skip
    assert [t.shape[1:] for t in y] == [
        (3,), (3,), (3,), (3,), (3,), (3,), (3,), (), (1, 3), (2,), (2,), (1, 3), (), (3,),
    ]  # fmt: skip
    d = DATA
    expected = [
        -d, abs(d), ~(d > 2), (d > 2) & (d < 5), (d > 2) | (d < 0), (d > 2) ^ (d > 3), d == 4,
        d[:, 0], d[:, None], d[..., 1:], d @ np.ones((3, 2)), d.reshape((-1, 1, 3)), d[:, 0], d,
    ]  # fmt: skip
    for got, want in zip(run(x, y, d), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    matrix = Input(batch_shape=(3, 2))
    assert (np.ones((4, 3), "float32") @ matrix).shape == (4, 2)


def test_symbolic_tensors_are_found_in_lists():
    x, y = Input((3,)), Input((3,))
    assert (x == x) is True and (x == y) is False and x != None  # noqa: E711
    assert [x, y].index(y) == 1 and y in (None, "text", x, y) and len({x, y, x}) == 2


# -- shapes --------------------------------------------------------------------------------------

SHAPES = [
    (lambda x: ops.reshape(x, (-1, 24)), (4, 6), (None, 24)),
    (lambda x: ops.reshape(x, (-1, 6)), (4, 6), (None, 6)),
    (lambda x: ops.reshape(x, (-1,)), (4, 6), (None,)),
    (lambda x: ops.reshape(x, (-1, 3, 8)), (4, 6), (None, 3, 8)),
    (lambda x: stepfit.layers.Flatten()(x), (4, 6), (None, 24)),
    (lambda x: stepfit.layers.Reshape((6, 4))(x), (4, 6), (None, 6, 4)),
    (lambda x: stepfit.layers.Reshape((-1, 4))(x), (4, 6), (None, 6, 4)),
    (lambda x: ops.concatenate([x, x], axis=0), (3,), (None, 3)),
    (lambda x: ops.concatenate([x, x], axis=1), (None, 3), (None, None, 3)),
    (lambda x: ops.stack([x, x], axis=1), (3,), (None, 2, 3)),
    (lambda x: ops.sum(x, axis=0), (3,), (3,)),
    (lambda x: ops.mean(x), (3,), ()),
    (lambda x: ops.transpose(x), (3, 4), (4, 3, None)),
    (lambda x: ops.expand_dims(x, 0), (3,), (1, None, 3)),
    (lambda x: ops.matmul(x, ops.transpose(x)), (3,), (None, None)),
    (lambda x: x + ops.sum(x, axis=0, keepdims=True), (3,), (None, 3)),
    (lambda x: ops.pad(x, ((1, 1), (0, 2))), (3,), (None, 5)),
    (lambda x: x[::2], (3,), (None, 3)),
    (lambda x: stepfit.layers.Conv2D(5, 3, strides=2)(x), (None, None, 3), (None, None, None, 5)),
    (lambda x: stepfit.layers.Conv2D(5, 3, padding="same")(x), (8, None, 3), (None, 8, None, 5)),
    (lambda x: stepfit.layers.GlobalAveragePooling2D()(x), (None, None, 3), (None, 3)),
]


@pytest.mark.parametrize(("fn", "shape", "expected"), SHAPES)
def test_unknown_sizes_stay_unknown(fn, shape, expected):
    x = Input(shape)
    y = fn(x)
    assert y.shape == expected
    for batch in (1, 6):
        data = np.ones((batch, *(9 if d is None else d for d in shape)), "float32")
        out = run(x, y, data).shape
        assert all(d in (None, n) for d, n in zip(expected, out, strict=True))


def test_known_batches_stay_known():
    x = Input(batch_shape=(4, 3))
    assert (x + 1).shape == (4, 3) and ops.reshape(x, (-1,)).shape == (12,)
    assert Input((3,), batch_size=2).shape == (2, 3)


def test_dtypes_follow():
    x = Input((3,), dtype="int32")
    assert x.dtype == "int32" and (x > 1).dtype == "bool" and (x / 2).dtype == "float32"
    assert ops.cast(x, "float16").dtype == "float16"


# -- @op -----------------------------------------------------------------------------------------


@stepfit.op
def spread(x, *, scale=1.0, parts=None):
    """Several outputs, keyword arguments, and a structure in and out."""
    parts = parts or {}
    return {"sum": jnp.sum(x * scale, axis=-1), "also": [x, parts.get("bias", 0.0) + x]}


def test_on_arrays_an_op_is_the_function():
    out = spread(jnp.asarray(DATA), scale=2.0)
    assert out["sum"].tolist() == [12, 30] and spread.__name__ == "spread"
    assert jax.jit(lambda x: spread(x)["sum"])(DATA).tolist() == [6, 15]
    assert jax.grad(lambda x: spread(x)["sum"].sum())(jnp.asarray(DATA)).shape == (2, 3)


def test_on_symbolic_tensors_structures_keep_their_form():
    x, b = Input((3,)), Input((3,))
    out = spread(x, scale=2.0, parts={"bias": b})
    assert list(out) == ["sum", "also"]  # the function's order, not the alphabet's
    assert (out["sum"].shape, out["also"][0].shape) == ((None,), (None, 3))
    got = run([x, b], out, DATA, DATA * 10)
    assert list(got) == ["sum", "also"]
    np.testing.assert_allclose(got["sum"], [12, 30])
    np.testing.assert_allclose(got["also"][1], DATA * 11)
    part = run([x, b], out["also"][1], DATA, DATA * 10)
    np.testing.assert_allclose(part, DATA * 11)


def test_none_among_the_outputs():
    x = Input((3,))
    first, nothing, third = stepfit.op(lambda x: (x + 1, None, x * 3))(x)
    assert nothing is None
    np.testing.assert_allclose(run(x, [third, first], DATA)[0], DATA * 3)


def test_ops_are_named_after_their_functions():
    x = Input((3,))
    made = spread(x)["sum"], spread(x)["sum"], ops.relu(x), x + 1
    names = [t.node.operation.name for t in made]
    assert names == ["spread", "spread_1", "relu", "add"]
    named = stepfit.op(lambda x: x, name="mine")(x)
    assert named.node.operation.name == "mine"
    assert repr(named.node.operation) == "<Operation name=mine>"


def test_ops_called_with_keywords_only():
    x = Input((3,))
    y = ops.sum(x=x, axis=1, keepdims=True)
    assert y.shape == (None, 1)
    np.testing.assert_allclose(run(x, y, DATA), DATA.sum(1, keepdims=True))


def test_one_node_for_each_call():
    x = Input((3,))
    y = ops.relu(x)
    assert y.node.input_tensors == [x] and y.node.output_tensors == [y]
    assert x.node.input_tensors == []


def test_variables_given_to_an_op_belong_to_the_model():
    x, scale = Input((3,)), stepfit.Variable([1.0, 2.0, 3.0], name="scale")
    model = stepfit.Model(x, ops.multiply(x, scale) + scale)
    assert [id(v) for v in model.trainable_variables] == [id(scale)]
    value, _ = model.stateless_call([jnp.zeros(3)], [], DATA)
    assert not value.any() and model(DATA)[0].tolist() == [2, 6, 12]


# -- what cannot be done -------------------------------------------------------------------------

NO_VALUE = (
    "KerasTensor 'x': expected an array, found a symbolic tensor, which has no value yet; use "
    "stepfit.ops, or make your function an operation with @stepfit.op, or call it in a Layer."
)


@pytest.mark.parametrize(
    "fn",
    [
        jnp.sum, jnp.sin, jax.nn.relu, np.sum, np.asarray, float, int, len, jax.jit(lambda x: x),
        jax.grad(lambda x: x), lambda x: jax.tree.leaves([x]),
    ],
)  # fmt: skip
def test_functions_of_values_say_what_to_use(fn):
    refused(lambda: fn(Input((3,), name="x")), TypeError, NO_VALUE)


def test_python_control_flow_says_what_to_use():
    x = Input((3,), name="x")
    refused(
        lambda: bool(x), TypeError,
        "KerasTensor 'x': expected a Python bool, found a symbolic tensor; use stepfit.ops.where "
        "or stepfit.ops.cond in place of `if`.",
    )  # fmt: skip
    refused(
        lambda: list(x), TypeError,
        "KerasTensor 'x': expected an array to iterate over, found a symbolic tensor; use "
        "stepfit.ops.unstack.",
    )  # fmt: skip


def test_shapes_that_do_not_fit():
    x, y = Input((3,)), Input((4,))
    with pytest.raises(ValueError) as caught:
        ops.add(x, y)
    assert str(caught.value).startswith(
        "operation 'add': expected arguments that it can take, found float32(None, 3), "
        "float32(None, 4); add got incompatible shapes for broadcasting: (None, 3), (None, 4)"
    )
    assert caught.value.__notes__[0] == (
        "This happened while finding the output shape of operation 'add' for inputs "
        "float32(None, 3), float32(None, 4) (unknown sizes were tried as (462, 3), (462, 4))."
    )


def test_wrong_arguments_stay_type_errors():
    with pytest.raises(TypeError, match="operation 'sum': .* unexpected keyword argument 'axs'"):
        ops.sum(Input((3,)), axs=1)


def test_errors_of_other_kinds_pass_with_a_note():
    @stepfit.op
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        broken(Input((3,)))
    assert any("operation 'broken'" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "fn", [lambda x: x if x.shape[0] > 500 else x[0], lambda x: [x] * (1 + x.shape[0] // 500)]
)
def test_structure_must_not_depend_on_the_batch(fn):
    refused(
        lambda: stepfit.op(fn, name="odd")(Input((3,))), ValueError,
        "operation 'odd': expected outputs whose rank and structure do not depend on the batch "
        "size, found outputs that differ between two batch sizes; return the same structure "
        "always.",
    )  # fmt: skip


def test_tracing_changes_nothing():
    count = stepfit.Variable(0)

    @stepfit.op
    def tick(x):
        count.assign_add(1)
        return x + stepfit.random.normal(x.shape)

    assert tick(Input((3,))).shape == (None, 3)
    assert count.value == 0 and symbolic.batch_probe() is None


def test_repr_and_size():
    x = Input((3,), name="x")
    assert repr(x) == "<KerasTensor shape=(None, 3), dtype=float32, name=x>"
    assert (x.ndim, x.size, Input(batch_shape=(2, 3)).size) == (2, None, 6)
