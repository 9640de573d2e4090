"""The walk: programs inside of programs, effects, what is left alone, derivatives of a step."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import PartitionSpec

from stepfit.rewrite import rewrite

NAMES = ("NHWC", "HWIO", "NHWC")
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 3)), jnp.float32)
W = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 3)), jnp.float32)


def network(w, x):
    """Return a number made by two convolutions and pooling."""
    x = jax.nn.relu(lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=NAMES))
    x = lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=NAMES)
    return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").sum()


def step(w, x):
    """Return a step of gradient descent."""
    return w - 0.1 * jax.grad(network)(w, x)


def times_x(w):
    return step(w, X)


@jax.custom_jvp
def with_jvp(w):
    return step(w, X)


with_jvp.defjvp(lambda primals, tangents: (with_jvp(*primals), tangents[0]))


@jax.custom_vjp
def with_vjp(w):
    return step(w, X)


with_vjp.defvjp(lambda w: (with_vjp(w), None), lambda _, g: (g,))


INSIDE = {
    "nothing": times_x,
    "jit": jax.jit(times_x),
    "scan": lambda w: lax.scan(lambda w, x: (step(w, x), w.sum()), w, jnp.stack([X, -X])),
    "while": lambda w: lax.while_loop(lambda w: w.sum() > 1e9, times_x, times_x(w)),
    "fori_loop": lambda w: lax.fori_loop(0, w.size // 27, lambda i, w: step(w, X * i), w),
    "cond": lambda w: lax.cond(w.sum() > 1e9, lambda w: w, times_x, w),
    "switch": lambda w: lax.switch(1, [jnp.sin, times_x, jnp.cos], w),
    "checkpoint": jax.grad(lambda w: jax.checkpoint(network)(w, X)),
    "scan of checkpoint": jax.grad(
        lambda w: lax.scan(jax.checkpoint(lambda c, x: (c + network(w, x), None)), 0.0, X[:, None])[
            0
        ]
    ),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "vmap": lambda w: jax.vmap(step, (None, 0))(w, X[:, None]),
}
SLOW = {"select_and_scatter_add", "reduce_window_max"}


def primitives(program):
    """Yield all equations of a program, those inside of others too."""
    for equation in program.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else [value]:
                if hasattr(inner, "eqns"):
                    yield from primitives(inner)


def is_slow(equation):
    """Say whether XLA's CPU compiler has only naive loops for an equation inside a loop."""
    if equation.primitive.name != "conv_general_dilated":
        return equation.primitive.name in SLOW
    orders = equation.params["dimension_numbers"]
    plain = (orders.lhs_spec[0], orders.lhs_spec[1]) == (0, len(orders.lhs_spec) - 1)
    return not plain or max(equation.params["lhs_dilation"]) > 1


@pytest.mark.parametrize("name", INSIDE)
def test_programs_inside_of_others_are_rewritten(name):
    program = jax.jit(INSIDE[name]).trace(W).jaxpr
    assert any(map(is_slow, primitives(program)))
    better, report = rewrite(program, platform="cpu")
    assert report.fits_loop and set(report.rewritten) >= {"convolution", "pooling gradient"}
    assert not any(map(is_slow, primitives(better)))
    assert better.in_avals == program.in_avals and better.out_avals == program.out_avals
    found, expected = (jax.jit(jaxpr_as_fun(p))(W) for p in (better, program))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1, abs(np.asarray(b)).max()))


@pytest.mark.parametrize("platform", ["gpu", "cuda", "tpu"])
def test_other_platforms_are_left_alone(platform):
    program = jax.make_jaxpr(step)(W, X)
    better, report = rewrite(program, platform=platform)
    assert better is program and report.fits_loop and not report.rewritten


def test_what_holds_nothing_to_rewrite_is_the_same_object():
    def plain(w, x):
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NAMES)
        y, _ = lax.scan(lambda c, row: (c + jnp.dot(row, row.T).sum(), None), y.sum(), y[0])
        return jax.jit(jnp.sin)(y)

    program = jax.make_jaxpr(plain)(W, X)
    better, report = rewrite(program, platform="cpu")
    assert better is program and report.fits_loop and report.rewritten == {}


def test_equations_that_are_not_rewritten_stay_the_same_objects():
    program = jax.make_jaxpr(step)(W, X)
    better, _ = rewrite(program, platform="cpu")
    old = {"conv_general_dilated", *SLOW}
    kept = [e for e in program.eqns if e.primitive.name not in old]
    assert [e for e in better.eqns if any(e is k for k in kept)] == kept


def test_a_new_equation_says_where_the_old_one_came_from():
    program = jax.make_jaxpr(step)(W, X)
    places = {id(e.source_info) for e in program.eqns}
    assert {id(e.source_info) for e in rewrite(program, platform="cpu")[0].eqns} <= places


def test_effects_survive():
    seen = []

    def loud(w):
        jax.debug.callback(lambda total: seen.append(float(total)), w.sum(), ordered=True)
        jax.debug.print("made {}", 3)
        return step(w, X)

    program = jax.make_jaxpr(loud)(W)
    better, report = rewrite(program, platform="cpu")
    assert report.rewritten and better.effects == program.effects
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        jax.jit(jaxpr_as_fun(better))(W)
        jax.effects_barrier()
    assert seen == [pytest.approx(float(W.sum()), rel=1e-5)] and printed.getvalue() == "made 3\n"


def test_derivatives_of_a_step():
    """Forward and second derivatives are taken first, then rewritten; and may be taken after."""

    def directional(w, v):
        return jax.jvp(times_x, (w,), (v,))

    program = jax.make_jaxpr(directional)(W, W * 2)
    better, report = rewrite(program, platform="cpu")
    assert report.fits_loop and report.rewritten["convolution"] > 5
    expected = jax.jit(directional)(W, W * 2)
    rewritten_step = jaxpr_as_fun(rewrite(jax.make_jaxpr(times_x)(W), platform="cpu")[0])
    after = jax.jit(lambda w, v: jax.jvp(lambda w: rewritten_step(w)[0], (w,), (v,)))(W, W * 2)
    for found in (jax.jit(jaxpr_as_fun(better))(W, W * 2), after):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * max(1, float(abs(b).max())))


def test_products_over_positions():
    def loss(w, x):
        return (jnp.einsum("blc,cd->bld", x, w) ** 2).sum()

    w, x = W[0, 0], X[0]
    program = jax.make_jaxpr(jax.grad(loss))(w, x)
    better, report = rewrite(program, platform="cpu")
    assert report.rewritten == {"product over positions": 1}
    assert "optimization_barrier" in {e.primitive.name for e in primitives(better)}
    np.testing.assert_allclose(
        jax.jit(jaxpr_as_fun(better))(w, x)[0], jax.grad(loss)(w, x), rtol=1e-5
    )


@pytest.mark.parametrize("checked", [True, False])
def test_shard_map(checked):
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("d")),
        out_specs=PartitionSpec(),
        check_vma=checked,
    )
    program = jax.make_jaxpr(spread)(W, X)
    better, report = rewrite(program, platform="cpu")
    assert (better is program) == checked and report.fits_loop == (not checked)
    if checked:
        assert "convolution in a shard_map with check_vma=True" in report.left
    np.testing.assert_allclose(
        jax.jit(jaxpr_as_fun(better))(W, X)[0], jax.jit(spread)(W, X), atol=2e-4
    )


def test_unused_outputs_and_repeated_inputs():
    def square(x):
        lax.conv(x, x, (1, 1), "SAME")
        return lax.conv(x, x, (1, 1), "VALID")

    x = jnp.ones((2, 2, 3, 3))
    better, _ = rewrite(jax.make_jaxpr(square)(x), platform="cpu")
    np.testing.assert_allclose(jaxpr_as_fun(better)(x)[0], square(x))
