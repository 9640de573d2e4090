"""The tape against jax.grad, program by program, eagerly and under jit.

Each program is a function of arrays that returns a float scalar. The gradients towards all of its
float arguments must be those of jax.grad, to the last bits: the tape uses the same derivative rules
in the same order.
"""

import functools

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stepfit.core.tape import GradientTape


def _values(*shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed + sum(shape))
    return jnp.asarray(rng.normal(size=shape), dtype)


X = _values(4, 3)
W = _values(3, 5)
B = _values(5)
V = _values(6)
S = jnp.float32(0.7)
IMAGE = _values(2, 6, 6, 3)
KERNEL = _values(3, 3, 3, 4)
INDEX = jnp.array([2, 0, 3, 3])
KEY = jax.random.key(0)
POSITIVE = jnp.eye(4) + 0.1 * _values(4, 4) @ _values(4, 4).T

PROGRAMS = []


def program(*args):
    def add(fun):
        PROGRAMS.append(pytest.param(fun, args, id=fun.__name__))
        return fun

    return add


@program(X, W, B)
def dense(x, w, b):
    return jnp.mean(jax.nn.tanh(x @ w + b) ** 2)


@program(S)
def same_value_twice(x):
    return x * x + x


@program(V)
def python_control_flow(x):
    for i in range(3):
        x = x * (i + 1) if i % 2 else jnp.sin(x)
    return x.sum()


@program(X, W)
def jit(x, w):
    return jax.jit(lambda a, b: jnp.sum(jnp.sin(a @ b)))(x, w)


@program(X, W)
def nested_jit(x, w):
    inner = jax.jit(lambda a: jnp.cos(a) * a)
    return jax.jit(lambda a, b: jnp.sum(inner(inner(a) @ b)))(x, w)


@program(X, W)
def jit_closure(x, w):
    return jax.jit(lambda a: jnp.sum(a @ w) * jnp.sum(w))(x)


@program(X, W)
def jit_closure_only(x, w):
    return jax.jit(lambda: jnp.sum((x @ w) ** 2))()


@program(V, S)
def nested_jit_closure(x, s):
    return jax.jit(lambda a: jax.jit(lambda b: jnp.sum(b * x * s))(a * 2) * s)(x)


@program(V, S)
def jit_in_scan_closure(x, s):
    def body(carry, row):
        carry = jax.jit(lambda: carry * s + row)()
        return carry, carry * row

    final, rows = jax.jit(lambda: lax.scan(body, jnp.float32(1.0), x, reverse=True))()
    return final + rows.sum()


@program(V, S)
def jit_in_cond_closure(x, s):
    return jax.jit(
        lambda p: lax.cond(p, lambda: jax.jit(lambda: (x * s).sum())(), lambda: s * 2.0)
    )(True)


@program(V, S)
def jit_in_remat_closure(x, s):
    return jax.jit(lambda: jax.checkpoint(lambda: jax.jit(lambda: jnp.sin(x * s).sum())())())()


@program(X)
def jit_hands_argument_through(x):
    same, twice = jax.jit(lambda a: (a, 2 * a))(x)
    return jnp.sum(same * twice) + jnp.sum(x)


@program(X)
def jit_same_result_twice(x):
    a, b = jax.jit(lambda a: [jnp.sin(a)] * 2)(x)
    return jnp.sum(a * b + 3 * b)


@program(V, S)
def scan(x, s):
    final, rows = lax.scan(lambda c, row: (c * s + row, jnp.sin(c)), jnp.float32(1.0), x)
    return final * rows.sum()


@program(V, S)
def scan_rows_unused(x, s):
    final, _ = lax.scan(lambda c, row: (c * s + row, jnp.sin(c)), jnp.float32(1.0), x)
    return final


@program(X, W)
def scan_closure(x, w):
    final, _ = lax.scan(lambda c, _: (jnp.tanh(c @ w @ w.T), None), x, None, length=3)
    return final.sum()


@program(X, W)
def lstm_like(x, w):
    def cell(carry, row):
        h, c = carry
        c = jax.nn.sigmoid(h) * c + jnp.tanh(row @ w)
        return (jnp.tanh(c), c), h

    (h, _), _ = lax.scan(cell, (jnp.zeros(5), jnp.ones(5)), x)
    return h.sum()


@program(X)
def associative_scan(x):
    return lax.associative_scan(jnp.multiply, x).sum()


@program(X, S)
def cond(x, s):
    return lax.cond(s > 0, lambda a: jnp.sum(a * s), lambda a: jnp.sum(a), x)


@program(X, S)
def cond_on_watched_sum(x, s):
    return lax.cond(x.sum() > 0, lambda: (x * s).sum(), lambda: (x - s).sum())


@program(X, INDEX)
def switch(x, index):
    branches = [jnp.sin, jnp.cos, jnp.tanh, jnp.exp]
    return sum(lax.switch(index[i], branches, x[i]).sum() for i in range(2))


@program(V)
def fori_loop(x):
    return lax.fori_loop(0, 4, lambda i, c: jnp.sin(c) * x + i, x).sum()


@jax.custom_jvp
def clipped_log(x):
    return jnp.log(x)


clipped_log.defjvp(lambda p, t: (clipped_log(p[0]), t[0] * jnp.clip(1 / p[0], -2, 2)))


@program(jnp.abs(V))
def custom_jvp(x):
    return jnp.sum(clipped_log(x) * x)


@program(jnp.abs(V))
def custom_jvp_in_jit(x):
    return jax.jit(lambda a: jnp.sum(clipped_log(a) ** 2))(x)


@jax.custom_vjp
def reversing(x, strength):
    return x


reversing.defvjp(lambda x, s: (x, s), lambda s, ct: (-s * ct, None))


@program(X, S)
def custom_vjp_reverses_gradient(x, s):
    return jnp.sum(jnp.sin(reversing(x, s))) + jnp.sum(x)


@program(X)
def custom_vjp_in_jit(x):
    return jnp.sum(jax.jit(lambda a: reversing(a, 3.0))(x) * x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def apply_twice(f, x, scale):
    return f(f(x)) * scale


apply_twice.defvjp(
    lambda f, x, scale: (f(f(x)) * scale, x),
    lambda f, scale, x, ct: (ct * f(x) * scale * 7,),
)


@program(V)
def custom_vjp_nondiff_args(x):
    return jnp.sum(apply_twice(jnp.sin, x, 2.0))


@program(X, W)
def custom_vjp_in_scan(x, w):
    return lax.scan(lambda c, _: (reversing(jnp.sin(c), 0.5), None), x @ w, None, length=2)[0].sum()


@program(X, W)
def remat(x, w):
    return jnp.sum(jax.checkpoint(lambda a, b: jnp.sin(jnp.sin(a @ b)))(x, w))


@program(X, W)
def remat_policy(x, w):
    layer = jax.checkpoint(
        lambda a: jnp.sin(jnp.sin(a @ w)), policy=jax.checkpoint_policies.dots_saveable
    )
    return jnp.sum(layer(x))


@program(X, KEY)
def dropout(x, key):
    key, other = jax.random.split(key)
    keep = jax.random.bernoulli(key, 0.5, x.shape)
    return jnp.sum(jnp.where(keep, x / 0.5, 0.0) + x * jax.random.normal(other, x.shape))


@program(X, W)
def mixed_bfloat16(x, w):
    y = jnp.tanh(x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16))
    return jnp.mean(y.astype(jnp.float32) ** 2)


@program(X, W)
def mixed_float16(x, w):
    y = (x.astype(jnp.float16) @ w.astype(jnp.float16)).astype(jnp.float32)
    return jax.nn.logsumexp(y)


@program(X.astype(jnp.bfloat16))
def pure_bfloat16(x):
    return jnp.sum(jax.nn.gelu(x)).astype(jnp.float32)


def _conv(x, kernel, **kwargs):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), **kwargs
    )


@program(IMAGE, KERNEL)
def convolution(x, k):
    return jnp.sum(jax.nn.relu(_conv(x, k)) ** 2)


@program(IMAGE, KERNEL)
def convolution_transposed(x, k):
    y = lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.sum(jnp.sin(y))


@program(IMAGE, _values(3, 3, 1, 3))
def convolution_depthwise(x, k):
    return jnp.sum(jnp.sin(_conv(x, k, feature_group_count=3)))


@program(IMAGE)
def max_pool(x):
    window = (1, 2, 2, 1)
    return jnp.sum(lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID") ** 2)


@program(IMAGE)
def average_pool(x):
    window = (1, 2, 2, 1)
    return jnp.sum(lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") ** 2)


@program(X, _values(3), _values(3, seed=1))
def batch_norm_with_running_statistics(x, gamma, running):
    mean, var = x.mean(0), x.var(0)
    running = lax.stop_gradient(0.9 * running + 0.1 * mean)
    y = (x - mean) * lax.rsqrt(var + 1e-3) * gamma
    return jnp.sum(y**2) + jnp.sum(running * x)


@program(_values(5, 4), INDEX)
def embedding(table, ids):
    return jnp.sum(table[ids] ** 2) + jnp.sum(jnp.take(table, ids[:2], axis=0))


@program(X, V)
def scatter(x, v):
    return jnp.sum(x.at[jnp.array([0, 0, 2])].add(v[:3, None]).at[1].mul(v[0]) ** 2)


@program(X, B)
def at_set(x, b):
    return jnp.sum(jnp.sin(x.at[1, :2].set(b[:2])) * x)


@program(X, jnp.array([0, 2, 1, 1]))
def softmax_cross_entropy(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, labels[:, None], axis=1).mean()


@program(X)
def logsumexp(x):
    return jnp.sum(jax.nn.logsumexp(x, axis=-1) ** 2)


@program(X)
def cumulative(x):
    return jnp.sum(jnp.cumsum(x, 0) ** 2) + jnp.sum(jnp.cumprod(x, 1))


@program(X, V)
def sort_and_top_k(x, v):
    values, where = lax.top_k(v, 3)
    return jnp.sum(jnp.sort(x, axis=0) * jnp.arange(3.0)) + values @ v[where]


@program(_values(2, 4, 3), _values(2, 5, 3))
def attention(q, k):
    scores = jax.nn.softmax(jnp.einsum("btd,bsd->bts", q, k))
    return jnp.sum(jnp.einsum("bts,bsd->btd", scores, k) * q)


@program(POSITIVE, _values(4))
def cholesky_and_solve(a, b):
    factor = jnp.linalg.cholesky(a @ a.T)
    x = jax.scipy.linalg.cho_solve((factor, True), b)
    return x @ b + jnp.linalg.slogdet(a)[1] + jnp.sum(jnp.linalg.solve(a, b))


@program(V)
def complex_absolute(x):
    return jnp.sum(jnp.abs(jnp.fft.fft(x)) * jnp.arange(6.0))


@program((V[:4] + 1j * V[2:]).astype(jnp.complex64))
def complex_argument(z):
    return jnp.sum(jnp.abs(z**2) + z.real)


@program(X, INDEX)
def integer_argument(x, n):
    return jnp.sum(x * n[:, None]) + jnp.sum(jnp.floor(x))


@program(X)
def stop_gradient(x):
    return jnp.sum(x * lax.stop_gradient(jnp.sin(x)) + lax.stop_gradient(x) * x)


@program(X)
def stop_gradient_in_jit(x):
    return jnp.sum(x * jax.jit(lambda a: lax.stop_gradient(a))(x))


@program(X)
def vmap_inside(x):
    return jnp.sum(jax.vmap(lambda row: jnp.outer(row, row))(x) ** 2)


@program(X)
def grad_inside(x):
    return jnp.sum(jax.grad(lambda a: jnp.sum(jnp.sin(a) * x))(x) ** 2)


@program(V)
def linearize_inside(x):
    value, tangent = jax.jvp(lambda a: jnp.sin(a) ** 2, (x,), (x,))
    return value @ tangent


@program({"a": X, "b": [V, (S,)], "none": None})
def nested_argument(p):
    return jnp.sum(p["a"]) * jnp.sum(p["b"][0] ** 3) * p["b"][1][0]


@program(X, V)
def argument_without_influence(x, v):
    return jnp.sum(x)


@program(X)
def many_results(x):
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return s[0] + jnp.split(x, 3, axis=1)[1].sum() + jnp.max(x)


@program(X)
def custom_linear_solve(x):
    a = x.T @ x + jnp.eye(3)
    solve = lambda f, b: jnp.linalg.solve(a, b)
    return lax.custom_linear_solve(lambda v: a @ v, x[0], solve, solve).sum()


@program(X)
def mutable_array_in_jit(x):
    def run(x):
        total = jax.new_ref(jnp.zeros_like(x))
        total[...] = x * 2
        return jnp.sum(total[...] * x)

    return jax.jit(run)(x)


@program(X)
def identities(x):
    y = jnp.array(jax.device_put(lax.optimization_barrier(x)), copy=True)
    return jnp.sum(lax.reduce_precision(y, 8, 7) * jnp.asarray(x))


@program(X, S)
def custom_vjp_symbolic_zeros(x, s):
    f = jax.custom_vjp(lambda x, s: x * s)
    f.defvjp(
        lambda x, s: (x.value * s.value, (x.value, s.value)),
        lambda saved, ct: (ct * saved[1], jnp.sum(ct * saved[0])),
        symbolic_zeros=True,
    )
    return jnp.sum(f(x, s) ** 2)


@program(V)
def loop_counter(x):
    count = lax.while_loop(lambda c: c < 3, lambda c: c + 1, 0)  # no derivative flows here
    return jnp.sum(x) * count


def _float_arguments(args):
    is_float = [all(map(_is_float, jax.tree.leaves(a))) for a in args]
    return tuple(i for i, yes in enumerate(is_float) if yes)


def _is_float(x):
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _both(fun, args):
    """Return functions that give value and gradients: by the tape, and by jax.grad."""
    slots = _float_arguments(args)

    def by_tape(*args):
        sources = [args[i] for i in slots]
        with GradientTape() as tape:
            tape.watch(sources)
            target = fun(*args)
        return target, tuple(tape.gradient(target, sources, unconnected_gradients="zero"))

    return by_tape, jax.value_and_grad(fun, slots)


def _assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        assert a.dtype == e.dtype and a.shape == e.shape
        np.testing.assert_allclose(
            np.asarray(a, "complex64"), np.asarray(e, "complex64"), rtol=2e-6, atol=2e-6
        )


@pytest.mark.parametrize("mode", ["eager", "jit"])
@pytest.mark.parametrize(("fun", "args"), PROGRAMS)
def test_same_as_jax_grad(fun, args, mode):
    by_tape, by_grad = _both(fun, args)
    if mode == "jit":
        by_tape, by_grad = jax.jit(by_tape), jax.jit(by_grad)
    _assert_same(by_tape(*args), by_grad(*args))


SMOOTH = ["dense", "jit_closure", "scan", "scan_closure", "cond", "remat", "attention",
          "softmax_cross_entropy", "custom_jvp", "convolution", "cholesky_and_solve",
          "grad_inside", "same_value_twice", "stop_gradient", "fori_loop"]  # fmt: skip


def _by_name(name):
    return next(p.values for p in PROGRAMS if p.id == name)


@pytest.mark.parametrize("mode", [pytest.param("eager", marks=pytest.mark.slow), "jit"])
@pytest.mark.parametrize("name", SMOOTH)
def test_second_order(name, mode):
    fun, args = _by_name(name)
    slots = _float_arguments(args)

    def penalty(gradients):
        return sum(jnp.sum(g**2) for g in gradients)

    def by_tapes(*args):
        sources = [args[i] for i in slots]
        with GradientTape() as outer:
            outer.watch(sources)
            with GradientTape() as inner:
                inner.watch(sources)
                target = fun(*args)
            target = penalty(inner.gradient(target, sources))
        return tuple(outer.gradient(target, sources, unconnected_gradients="zero"))

    by_grad = jax.grad(lambda *args: penalty(jax.grad(fun, slots)(*args)), slots)
    if mode == "jit":
        by_tapes, by_grad = jax.jit(by_tapes), jax.jit(by_grad)
    for actual, expected in zip(by_tapes(*args), by_grad(*args)):
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    "name", ["dense", "jit_closure", "scan", "custom_jvp_in_jit", "cumulative"]
)
def test_tape_inside_vmap(name):
    fun, args = _by_name(name)
    by_tape, by_grad = _both(fun, args)
    stacked = [jnp.stack([a, a * 0.5, a + 0.1]) for a in args]
    _assert_same(jax.vmap(by_tape)(*stacked), jax.vmap(by_grad)(*stacked))
    _assert_same(jax.jit(jax.vmap(by_tape))(*stacked), jax.vmap(by_grad)(*stacked))


@pytest.mark.parametrize("name", ["dense", "jit_closure", "scan", "remat", "attention"])
def test_tape_inside_grad(name):
    fun, args = _by_name(name)
    by_tape, by_grad = _both(fun, args)

    def penalty(gradients, *args):
        return sum(jnp.sum(g**2) for g in gradients(*args)[1])

    actual = jax.grad(functools.partial(penalty, by_tape))(*args)
    expected = jax.grad(functools.partial(penalty, by_grad))(*args)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_tape_inside_scan():
    def step(w, x):
        with GradientTape() as tape:
            tape.watch(w)
            loss = jnp.sum((x @ w) ** 2)
        return w - 0.1 * tape.gradient(loss, w), loss

    def plain_step(w, x):
        loss, g = jax.value_and_grad(lambda w: jnp.sum((x @ w) ** 2))(w)
        return w - 0.1 * g, loss

    rows = _values(3, 2, 4)
    _assert_same(lax.scan(step, _values(4), rows), lax.scan(plain_step, _values(4), rows))


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_while_loop_runs_forward_and_says_why_it_has_no_gradient(mode):
    def run(x, want_gradient):
        with GradientTape() as tape:
            tape.watch(x)
            y = lax.while_loop(lambda c: c < 10, lambda c: c * 2, x)
        return tape.gradient(y, x) if want_gradient else y

    if mode == "jit":
        run = jax.jit(run, static_argnums=1)
    assert run(jnp.float32(3.0), False) == 12.0
    with pytest.raises(
        ValueError, match="Reverse-mode differentiation does not work for lax.while"
    ):
        run(jnp.float32(3.0), True)


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_operation_without_derivative_fails_only_where_it_matters(mode):
    def run(x, want_gradient):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            side = jax.pure_callback(lambda a: np.asarray(a) + 1, x, x)
            y = x * x
        return tape.gradient(side if want_gradient else y, x)

    if mode == "jit":
        run = jax.jit(run, static_argnums=1)
    assert run(jnp.float32(3.0), False) == 6.0
    with pytest.raises(ValueError, match="Pure callbacks do not support JVP"):
        run(jnp.float32(3.0), True)


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_shard_map(mode):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    double = jax.shard_map(
        lambda x, w: jax.lax.psum(jnp.sin(x @ w).sum(), "data"),
        mesh=mesh,
        in_specs=(spec("data"), spec()),
        out_specs=spec(),
    )
    by_tape, by_grad = _both(double, (X, W))
    if mode == "jit":
        by_tape, by_grad = jax.jit(by_tape), jax.jit(by_grad)
    _assert_same(by_tape(X, W), by_grad(X, W))


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_side_effects_happen_once(mode):
    seen = []

    def run(x):
        with GradientTape() as tape:
            tape.watch(x)
            jax.debug.callback(lambda a: seen.append(("debug", float(a))), x.sum())
            jax.experimental.io_callback(lambda a: seen.append(("io", float(a))), None, x.sum())
            y = x * x
        return tape.gradient(y, x)

    x = jnp.array([1.0, 2.0])
    np.testing.assert_array_equal((jax.jit(run) if mode == "jit" else run)(x), 2 * x)
    jax.effects_barrier()
    assert sorted(seen) == [("debug", 3.0), ("io", 3.0)]


def test_without_jit():
    by_tape, by_grad = _both(*_by_name("lstm_like"))
    with jax.disable_jit():
        _assert_same(by_tape(X, W), by_grad(X, W))


def _mlp(p, x, y):
    for w, b in p[:-1]:
        x = jax.nn.gelu(x @ w + b)
    w, b = p[-1]
    return _cross_entropy(x @ w + b, y)


def _cross_entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def _cnn(p, x, y):
    for kernel, gamma, beta in p["blocks"]:
        x = _conv(x, kernel)
        mean = x.mean((0, 1, 2))
        var = ((x - mean) ** 2).mean((0, 1, 2))
        x = jax.nn.relu((x - mean) * lax.rsqrt(var + 1e-3) * gamma + beta)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return _cross_entropy(x.reshape(x.shape[0], -1) @ p["w"], y)


def _lstm(p, x, y):
    def cell(carry, row):
        h, c = carry
        i, f, g, o = jnp.split(row @ p["wx"] + h @ p["wh"] + p["b"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[0], p["wh"].shape[0]))
    (h, _), _ = lax.scan(cell, (zero, zero), x.swapaxes(0, 1))
    return _cross_entropy(h @ p["w"], y)


def _transformer(p, x, y):
    h = p["table"][x]
    for layer in p["layers"]:
        z = (h - h.mean(-1, keepdims=True)) * lax.rsqrt(h.var(-1, keepdims=True) + 1e-5)
        q, k, v = jnp.einsum("btd,cdhe->cbthe", z * layer["gamma"], layer["qkv"])
        scores = jnp.einsum("bthe,bshe->bhts", q, k) / q.shape[-1] ** 0.5
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
        h = h + jnp.einsum("bhts,bshe,hed->btd", jax.nn.softmax(scores), v, layer["out"])
        h = h + jax.nn.gelu(h @ layer["up"]) @ layer["down"]
    return _cross_entropy(h.mean(1) @ p["w"], y)


def _models():
    labels = jnp.arange(4)
    mlp = [(_values(20, 32), _values(32)), (_values(32, 32), _values(32)), (_values(32, 4), B[:4])]
    yield _mlp, mlp, _values(4, 20), labels
    blocks = [(KERNEL, _values(4), B[:4]), (_values(3, 3, 4, 8), _values(8), _values(8))]
    yield _cnn, {"blocks": blocks, "w": _values(32, 4)}, _values(4, 8, 8, 3), labels
    lstm = {"wx": _values(6, 64), "wh": _values(16, 64), "b": _values(64), "w": _values(16, 4)}
    yield _lstm, lstm, _values(4, 12, 6), labels
    layer = {"gamma": _values(16), "qkv": _values(3, 16, 2, 8), "out": _values(2, 8, 16),
             "up": _values(16, 64), "down": _values(64, 16)}  # fmt: skip
    transformer = {"table": _values(50, 16), "w": _values(16, 4), "layers": [layer]}
    yield _transformer, transformer, jnp.arange(48).reshape(4, 12), labels


@pytest.mark.parametrize(
    "wrap", ["plain", *(pytest.param(w, marks=pytest.mark.slow) for w in ("jit", "remat"))]
)
@pytest.mark.parametrize("model", [0, 1, 2, 3], ids=["mlp", "cnn", "lstm", "transformer"])
def test_no_more_flops_than_value_and_grad(model, wrap):
    fun, params, x, y = list(_models())[model]
    fun = {"plain": lambda f: f, "jit": jax.jit, "remat": jax.checkpoint}[wrap](fun)

    def by_tape(params, x, y):
        with GradientTape() as tape:
            tape.watch(params)
            loss = fun(params, x, y)
        return loss, tape.gradient(loss, params)

    def compiled(f):
        return jax.jit(f).lower(params, x, y).compile()

    actual, expected = compiled(by_tape), compiled(jax.value_and_grad(fun))
    assert actual.cost_analysis()["flops"] <= 1.02 * expected.cost_analysis()["flops"]
    _assert_same(actual(params, x, y), expected(params, x, y))


def test_no_flops_towards_what_is_not_watched():
    x, w = _values(64, 64), _values(64, 64)

    def by_tape(x, w):
        with GradientTape() as tape:
            tape.watch(w)
            loss = jnp.sum(x @ w)
        return tape.gradient(loss, w)

    lowered = jax.make_jaxpr(by_tape)(x, w)
    assert str(lowered).count("dot_general[") == 1 + 1  # forward, and towards w only
