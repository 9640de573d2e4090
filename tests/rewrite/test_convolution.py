"""Convolutions of every kind, their gradients and second derivatives, against the definition."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.extend.core import jaxpr_as_fun

from stepfit.rewrite import rewrite
from tests.rewrite.naive import evaluate

ORDERS = {  # names of the dimensions of input, kernel and output
    "last": ("N{}C", "{}IO", "N{}C"),
    "first": ("NC{}", "OI{}", "NC{}"),
    "odd": ("C{}N", "I{}O", "{}NC"),
}

# name -> (space, taps, channels, outputs, options)
CASES = {
    "1D": ((9,), (3,), 2, 3, {}),
    "1D strided": ((9,), (3,), 2, 3, {"strides": (2,)}),
    "1D dilated": ((11,), (3,), 2, 3, {"rhs_dilation": (2,)}),
    "1D transposed": ((5,), (4,), 2, 3, {"lhs_dilation": (2,), "padding": [(2, 2)]}),
    "2D valid": ((6, 7), (3, 2), 2, 3, {"padding": "VALID"}),
    "2D same": ((6, 5), (3, 3), 2, 3, {}),
    "2D one tap": ((4, 5), (1, 1), 3, 2, {}),
    "2D strides 2, 3": ((8, 7), (3, 3), 2, 3, {"strides": (2, 3)}),
    "2D strides beyond taps": ((8, 9), (2, 2), 2, 2, {"strides": (3, 4), "padding": "VALID"}),
    "2D patches": ((8, 8), (4, 4), 2, 3, {"strides": (4, 4), "padding": "VALID"}),
    "2D patches, padded": (
        (6, 7),
        (4, 4),
        9,
        1,
        {"strides": (4, 4), "padding": [(1, 1), (1, 0)]},
    ),
    "2D windows of both": ((8, 9), (5, 5), 1, 2, {"strides": (2, 2)}),
    "2D dilated beyond the input": ((4, 5), (3, 2), 2, 3, {"rhs_dilation": (7, 12)}),
    "2D upsampling": ((3, 4), (2, 2), 3, 2, {"lhs_dilation": (2, 2), "padding": [(1, 1)] * 2}),
    "2D dilated, strided": ((9, 9), (3, 2), 2, 2, {"rhs_dilation": (2, 3), "strides": (2, 1)}),
    "2D transposed": ((4, 5), (3, 3), 2, 3, {"lhs_dilation": (2, 3), "padding": [(1, 2), (2, 1)]}),
    "2D all at once": (
        (5, 6),
        (3, 2),
        2,
        2,
        {
            "lhs_dilation": (2, 3),
            "rhs_dilation": (3, 2),
            "strides": (3, 2),
            "padding": [(1, 1)] * 2,
        },
    ),
    "2D explicit padding": ((5, 6), (3, 3), 1, 2, {"padding": [(2, 0), (0, 1)]}),
    "2D kernel as large": ((4, 4), (4, 4), 2, 3, {"padding": "VALID"}),
    "2D one output": ((5, 5), (3, 3), 20, 1, {}),
    "2D depthwise": ((5, 6), (3, 3), 4, 4, {"groups": 4}),
    "2D depthwise, multiplied": ((5, 6), (3, 3), 2, 6, {"groups": 2, "strides": (2, 2)}),
    "2D depthwise, transposed": (
        (3, 4),
        (3, 3),
        2,
        2,
        {"groups": 2, "lhs_dilation": (2, 2), "padding": [(1, 1)] * 2},
    ),
    "2D grouped": ((5, 5), (3, 3), 6, 9, {"groups": 3}),
    "2D grouped, strided": ((6, 6), (3, 3), 6, 6, {"groups": 2, "strides": (2, 2)}),
    "3D": ((4, 3, 4), (2, 3, 2), 2, 2, {}),
    "3D strided": ((4, 5, 4), (3, 2, 3), 2, 2, {"strides": (2, 1, 2)}),
    "3D depthwise": ((4, 3, 3), (2, 2, 2), 2, 2, {"groups": 2}),
    "1D many channels": ((6,), (3,), 44, 45, {}),
    "2D many channels": ((5, 4), (3, 3), 15, 16, {"padding": [(1, 0), (0, 1)]}),
}
COMBINATIONS = [
    *((name, "last", "float64") for name in CASES),
    *((name, "first", "float32") for name in list(CASES)[4:20:2]),
    # Whose kernels' gradients are convolutions with kernels as large as the input, in float32.
    *((name, "last", "float32") for name in ("1D", "1D dilated", "1D many channels")),
    ("2D many channels", "odd", "float32"),
    ("2D same", "odd", "float64"),
    ("2D transposed", "odd", "float32"),
    ("2D grouped", "odd", "float32"),
    *((n, "last", d) for n in ("2D same", "2D depthwise") for d in ("float16", "bfloat16")),
]
TOLERANCE = {"float64": 1e-12, "float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-1}


def convolution(space, options, orders):
    """Return a function of input and kernel."""
    names = "XYZ"[: len(space)]
    return lambda x, w: lax.conv_general_dilated(
        x,
        w,
        options.get("strides", (1,) * len(space)),
        options.get("padding", "SAME"),
        options.get("lhs_dilation"),
        options.get("rhs_dilation"),
        tuple(order.format(names) for order in orders),
        feature_group_count=options.get("groups", 1),
    )


def arrays(space, taps, channels, outputs, options, orders, dtype, seed):
    """Return an input and a kernel."""
    names, random = "XYZ"[: len(space)], np.random.default_rng(seed)
    sizes = {"N": 3, "C": channels, "I": channels // options.get("groups", 1), "O": outputs}
    shapes = [
        [{**sizes, **dict(zip(names, extent))}[d] for d in order.format(names)]
        for order, extent in zip(orders, (space, taps))
    ]
    return [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]


def gradients(function):
    """Return a function that makes a convolution's output and its gradients."""

    def compute(x, w):
        output, pullback = jax.vjp(function, x, w)
        return output, pullback(output)

    return compute


def hessian(function):
    """Return a function that makes gradients, and the product of the Hessian with a vector."""
    gradient = jax.grad(lambda x, w: (function(x, w) ** 2).sum(), (0, 1))
    return lambda x, w: jax.jvp(gradient, (x, w), (x * 0.5, w * 2))


def check(program, args, tolerance):
    """Compare a rewritten program with the definition, and return the report."""
    better, report = rewrite(program, platform="cpu")
    assert not report.left and report.rewritten["convolution"] >= 2
    assert [x.aval for x in better.jaxpr.outvars] == [x.aval for x in program.jaxpr.outvars]
    found = jax.jit(jaxpr_as_fun(better))(*args)
    for right, value in zip(evaluate(program, *args), found, strict=True):
        right, value = np.asarray(right, np.float64), np.asarray(value, np.float64)
        np.testing.assert_allclose(value, right, atol=tolerance * max(1, abs(right).max()))


# Second derivatives of every other case are left to the slow forms.
SELDOM = [(name, "last", "float64") for name in list(CASES)[1::2]]


@pytest.mark.parametrize(
    "name, order, dtype",
    [pytest.param(*c, marks=pytest.mark.slow) if c in SELDOM else c for c in COMBINATIONS],
)
def test_a_convolution_and_its_derivatives_are_what_they_were(name, order, dtype):
    *sizes, options = CASES[name]
    with jax.enable_x64(dtype == "float64"), jax.numpy_rank_promotion("raise"):
        function = convolution(sizes[0], options, ORDERS[order])
        seed = zlib.crc32(name.encode())
        args = arrays(*sizes, options, ORDERS[order], dtype, seed)
        derive = hessian if dtype == "float64" else gradients
        check(jax.make_jaxpr(derive(function))(*args), args, TOLERANCE[dtype])


@settings(max_examples=8, deadline=None, database=None)
@given(st.data())
def test_any_convolution(data):
    def ints(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(dimensions))

    dimensions = data.draw(st.integers(1, 2))
    groups = data.draw(st.sampled_from([1, 1, 2, 3]))
    taps, dilation = ints(1, 4), ints(1, 3)
    options = {
        "strides": ints(1, 3),
        "lhs_dilation": ints(1, 3),
        "rhs_dilation": dilation,
        "padding": [(data.draw(st.integers(0, e)), e) for e in dilation],
        "groups": groups,
    }
    space = tuple(n + (t - 1) * e for n, t, e in zip(ints(1, 5), taps, dilation))
    orders = ORDERS[data.draw(st.sampled_from(list(ORDERS)))]
    channels, outputs = (groups * data.draw(st.integers(1, 3)) for _ in range(2))
    with jax.enable_x64(True):
        args = arrays(space, taps, channels, outputs, options, orders, "float64", 0)
        program = jax.make_jaxpr(gradients(convolution(space, options, orders)))(*args)
        found = jax.jit(jaxpr_as_fun(rewrite(program, platform="cpu")[0]))(*args)
        for right, value in zip(evaluate(program, *args), found, strict=True):
            np.testing.assert_allclose(value, right, atol=1e-11)


@pytest.mark.parametrize(
    "padding", [[(-1, -1), (0, 0)], [(-2, 3), (1, -1)], [(2, -4), (-1, 0)], [(-20, 24), (0, 0)]]
)
@pytest.mark.parametrize("lhs_dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_negative_padding_crops(padding, lhs_dilation, dtype):
    with jax.enable_x64(dtype == "float64"):
        options = {"padding": padding, "lhs_dilation": lhs_dilation}
        args = arrays((9, 8), (2, 3), 2, 3, options, ORDERS["last"], dtype, 0)
        program = jax.make_jaxpr(convolution((9, 8), options, ORDERS["last"]))(*args)
        better, report = rewrite(program, platform="cpu")
        assert report.rewritten == {"convolution": 1}
        np.testing.assert_allclose(
            jax.jit(jaxpr_as_fun(better))(*args)[0], evaluate(program, *args)[0], atol=2e-5
        )


def test_low_precision_is_summed_in_float32():
    shape, kernel = (1, 16, 16, 2), (3, 3, 1, 2)
    x, w = jnp.full(shape, 1.0, jnp.bfloat16), jnp.full(kernel, 1 / 256 + 1, jnp.bfloat16)
    function = convolution((16, 16), {"groups": 2, "padding": "VALID"}, ORDERS["last"])
    gradient = jax.make_jaxpr(jax.grad(lambda w: function(x, w).astype(jnp.float32).sum()))(w)
    better, _ = rewrite(gradient, platform="cpu")
    assert (jax.jit(jaxpr_as_fun(better))(w)[0] == 14 * 14).all()


def test_the_dtype_asked_for_is_kept():
    def function(x, w):
        return lax.conv(x, w, (1, 1), "SAME", preferred_element_type=jnp.float32)

    x, w = jnp.ones((2, 3, 5, 5), jnp.bfloat16), jnp.ones((4, 3, 3, 3), jnp.bfloat16)
    better, report = rewrite(jax.make_jaxpr(function)(x, w), platform="cpu")
    assert report.rewritten == {"convolution": 1}
    assert jaxpr_as_fun(better)(x, w)[0].dtype == jnp.float32
    names = {equation.primitive.name: equation for equation in better.eqns}
    assert names["conv_general_dilated"].params["preferred_element_type"] == jnp.float32


@pytest.mark.parametrize("shape", [(0, 5, 5, 2), (2, 5, 5, 0), (2, 2, 5, 2)])
def test_what_is_empty_is_left_alone(shape):
    kernel = (3, 3, shape[-1], 4)
    function = convolution(shape[1:3], {"padding": "VALID"}, ORDERS["last"])
    args = [jax.ShapeDtypeStruct(s, jnp.float32) for s in (shape, kernel)]
    program = jax.make_jaxpr(gradients(function))(*args)
    better, report = rewrite(program, platform="cpu")
    assert better is program and report.fits_loop


@pytest.mark.parametrize(
    "shape, kernel, strides, most",
    [
        ((1, 40, 40, 64), (16, 16, 64, 16), (16, 16), 600),  # the input padded: 48
        ((1, 64, 64, 3), (11, 11, 3, 32), (4, 4), 1000),
        ((1, 9, 9, 9, 4), (5, 5, 5, 4, 8), (1, 1, 1), 100),
    ],
)
def test_kernels_gradients_are_cut_into_few_pieces(shape, kernel, strides, most):
    function = convolution(shape[1:-1], {"strides": strides}, ORDERS["last"])
    x, w = (jax.ShapeDtypeStruct(s, jnp.float32) for s in (shape, kernel))
    output = jax.eval_shape(function, x, w)
    gradient = jax.make_jaxpr(lambda x, w, y: jax.vjp(function, x, w)[1](y)[1])(x, w, output)
    better, report = rewrite(gradient, platform="cpu")
    assert report.fits_loop and len(better.eqns) < most


@pytest.mark.parametrize(
    "shape, kernel, options, text",
    [
        ((2, 4, 4, 390), (2, 2, 3, 390), {"groups": 130}, "grouped convolution"),
        (
            (1, 4, 4, 2),
            (40, 40, 2, 2),
            {"lhs_dilation": (30, 30), "padding": [(40, 40)] * 2},
            "convolution",
        ),
        ((2, 1200, 2), (1001, 1, 2), {"groups": 2}, "grouped convolution"),
    ],
)
def test_what_would_take_too_long_to_compile_is_left_and_told(shape, kernel, options, text):
    space = shape[1:-1]
    function = convolution(space, {"padding": "VALID", **options}, ORDERS["last"])
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in (shape, kernel)]
    program = jax.make_jaxpr(function)(*shapes)
    better, report = rewrite(program, platform="cpu")
    assert better is program and not report.rewritten and not report.fits_loop
    assert report.left == [f"{text} {shape} x {kernel}"]
