"""GradientTape: what it watches, what it gives, when it refuses, and that it leaves no trace."""

import gc
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stepfit.core import jax_private
from stepfit.core.scope import Scope, autocast
from stepfit.core.tape import GradientTape
from stepfit.core.variable import Variable

X = jnp.array([1.0, 2.0, 3.0])
THREE = jnp.float32(3.0)


def outer_trace():
    return jax_private.current_trace()


@pytest.fixture(autouse=True)
def trace_is_restored():
    before = outer_trace()
    yield
    assert outer_trace() is before


# -- arrays --------------------------------------------------------------------------------------


def test_gradient_of_watched_array():
    with GradientTape() as tape:
        tape.watch(X)
        y = X**2
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)


def test_array_that_is_not_watched_has_no_gradient():
    with GradientTape(persistent=True) as tape:
        y = X**2
    assert tape.gradient(y, X) is None
    np.testing.assert_array_equal(tape.gradient(y, X, unconnected_gradients="zero"), 0 * X)


def test_operations_before_watch_and_after_the_block_are_not_recorded():
    with GradientTape(persistent=True) as tape:
        before = X * 2
        tape.watch(X)
        inside = X * 3
    after = inside * X
    assert tape.gradient(before, X) is None
    assert tape.gradient(after, X) is None
    np.testing.assert_array_equal(tape.gradient(inside, X), [3, 3, 3])


def test_watch_before_the_block():
    tape = GradientTape()
    tape.watch(X)
    with tape:
        y = X * X
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)


def test_target_that_is_its_own_source():
    with GradientTape() as tape:
        tape.watch(X)
    np.testing.assert_array_equal(tape.gradient(X, X), [1, 1, 1])


def test_computed_value_as_source():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X * X
        z = jnp.sum(y * y) + jnp.sum(X)
    np.testing.assert_array_equal(tape.gradient(z, y), 2 * X**2)
    both = tape.gradient(z, [X, y])
    np.testing.assert_allclose(both[0], 4 * X**3 + 1)
    np.testing.assert_array_equal(both[1], 2 * X**2)


def test_structures_of_sources_keep_their_structure():
    point = {"a": X, "b": (THREE, [X + 1]), "none": None}
    with GradientTape() as tape:
        tape.watch(point)
        y = jnp.sum(point["a"]) * point["b"][0]
    gradients = tape.gradient(y, point)
    assert jax.tree.structure(gradients, is_leaf=lambda g: g is None) == jax.tree.structure(
        {"a": 0, "b": (0, [None]), "none": None}, is_leaf=lambda g: g is None
    )
    np.testing.assert_array_equal(gradients["a"], [3, 3, 3])
    assert gradients["b"][0] == 6.0 and gradients["b"][1] == [None]
    assert gradients["none"] is None


def test_several_targets_are_summed():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y, z = X * 2, jnp.sum(X) * 3
    np.testing.assert_array_equal(tape.gradient([y, z], X), [5, 5, 5])
    np.testing.assert_array_equal(tape.gradient({"y": y, "again": y}, X), [4, 4, 4])


def test_output_gradients():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y, z = X * 2, jnp.sum(X) * 3
    weight = jnp.array([1.0, 0.0, 2.0])
    np.testing.assert_array_equal(tape.gradient(y, X, output_gradients=weight), 2 * weight)
    both = tape.gradient([y, z], X, output_gradients=[weight, None])
    np.testing.assert_array_equal(both, 2 * weight + 3)


def test_gradient_has_the_dtype_of_its_source():
    for dtype in ("bfloat16", "float16", "float32", "complex64"):
        x = X.astype(dtype)
        with GradientTape() as tape:
            tape.watch(x)
            y = jnp.abs(x.astype("complex64" if dtype == "complex64" else "float32"))
        assert tape.gradient(y, x).dtype == x.dtype


def test_persistent_tape_gives_gradients_often():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X**2
        z = y**2
    for _ in range(2):
        np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)
        np.testing.assert_array_equal(tape.gradient(z, X), 4 * X**3)


def test_gradient_inside_the_block_of_a_persistent_tape_goes_on_record():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X**3
        first = tape.gradient(y, X)
        again = first * X
    np.testing.assert_allclose(tape.gradient(first, X), 6 * X)
    np.testing.assert_allclose(tape.gradient(again, X), 9 * X**2)


@pytest.mark.parametrize("jit", [False, True])
def test_second_derivatives_on_one_persistent_tape(jit):
    w = Variable(X)

    def field(x):
        rows = jax.lax.scan(lambda c, r: (c + jnp.sin(r) * x, c), x, w.value)[1]
        return jnp.sum(jax.nn.relu(jax.jit(lambda a: a * rows)(x)) ** 2) + jnp.sum(x * x)

    def run(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = field(x)
            slope = tape.gradient(y, x)
            loss = jnp.sum(slope**2)
        return tape.gradient(loss, [x, w])

    def loss(x, w_value):
        with Scope([(w, w_value)]):
            return jnp.sum(jax.grad(field)(x) ** 2)

    actual = (jax.jit(run) if jit else run)(X)
    for a, e in zip(actual, jax.grad(loss, (0, 1))(X, X)):
        np.testing.assert_allclose(a, e, rtol=1e-4)


def test_gradient_inside_the_block_of_an_ordinary_tape_ends_the_record():
    with GradientTape() as tape:
        tape.watch(X)
        y = X**3
        np.testing.assert_allclose(tape.gradient(y, X), 3 * X**2)
        y * X  # runs, off the record
    assert not tape._recorder.entries


def test_third_order():
    def nested(x, depth):
        with GradientTape() as tape:
            tape.watch(x)
            y = nested(x, depth - 1) if depth > 1 else x**4
        return tape.gradient(y, x)

    assert nested(THREE, 3) == 24 * 3.0
    assert jax.jit(nested, static_argnums=1)(THREE, 3) == 24 * 3.0


def test_gradient_penalty_in_a_training_step():
    w = Variable([0.5, -1.0, 2.0])

    def step(x):
        with GradientTape() as outer:
            with GradientTape() as inner:
                inner.watch(x)
                y = jnp.sum(jnp.sin(x * w.value))
            slope = inner.gradient(y, x)
            loss = jnp.sum((slope - 1) ** 2) + y
        return outer.gradient(loss, w)

    def loss(w, x):
        critic = lambda x: jnp.sum(jnp.sin(x * w))
        return jnp.sum((jax.grad(critic)(x) - 1) ** 2) + critic(x)

    expected = jax.grad(loss)(w.peek(), X)
    np.testing.assert_allclose(step(X), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(step)(X), expected, rtol=1e-5)


def test_two_tapes_over_one_computation():
    with GradientTape() as a, GradientTape() as b:
        a.watch(X)
        b.watch(X)
        y = X**2
    np.testing.assert_array_equal(a.gradient(y, X), 2 * X)
    np.testing.assert_array_equal(b.gradient(y, X), 2 * X)


def test_only_what_leads_to_the_sources_is_pulled_back():
    pulled = []

    @jax.custom_vjp
    def noted(x):
        return x * 1

    noted.defvjp(lambda x: (x * 1, None), lambda _, ct: (pulled.append(1) or ct,))
    with GradientTape() as tape:
        tape.watch([X, THREE])
        y = jnp.sum(noted(X)) * THREE
    tape.gradient(y, THREE)
    assert not pulled


# -- Variables -----------------------------------------------------------------------------------


def test_trainable_variables_are_watched_when_read():
    w, fixed, unread = Variable(X), Variable(X, trainable=False), Variable(X)
    with GradientTape(persistent=True) as tape:
        y = jnp.sum(w.value * fixed.value)
    assert tape.watched_variables() == (w,)
    gradients = tape.gradient(y, [w, fixed, unread])
    np.testing.assert_array_equal(gradients[0], X)
    assert gradients[1:] == [None, None]
    zeros = tape.gradient(y, [w, fixed, unread], unconnected_gradients="zero")
    np.testing.assert_array_equal(zeros[2], [0, 0, 0])


def test_variable_operators_and_jax_functions_read():
    w = Variable(X)
    with GradientTape() as tape:
        y = jnp.sum(w * 2 + jnp.sin(w)) + w[0]
    expected = 2 + jnp.cos(X) + jnp.array([1.0, 0, 0])
    np.testing.assert_allclose(tape.gradient(y, w), expected)


def test_variable_passed_to_jitted_function():
    w = Variable(X)
    with GradientTape() as tape:
        y = jax.jit(lambda v: jnp.sum(v**2))(w)
    np.testing.assert_allclose(tape.gradient(y, w), 2 * X)


def test_variable_read_inside_scan_body():
    w = Variable(2.0)
    with GradientTape() as tape:
        y, _ = jax.lax.scan(lambda c, x: (c * w.value + x, None), 1.0, X)
    expected = jax.grad(lambda w: jax.lax.scan(lambda c, x: (c * w + x, None), 1.0, X)[0])(2.0)
    np.testing.assert_allclose(tape.gradient(y, w), expected)


def test_watch_accessed_variables_off():
    a, b = Variable(X), Variable(X)
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        y = jnp.sum(a.value * b.value)
    assert tape.watched_variables() == (a,)
    gradients = tape.gradient(y, [a, b])
    np.testing.assert_array_equal(gradients[0], X)
    assert gradients[1] is None


def test_watching_a_variable_that_is_not_trainable():
    v = Variable(X, trainable=False)
    with GradientTape() as tape:
        tape.watch({"v": v})
        y = jnp.sum(v.value**2)
    np.testing.assert_array_equal(tape.gradient(y, {"v": v})["v"], 2 * X)


def test_gradient_sums_over_reads_around_an_assignment():
    v = Variable(X)
    with GradientTape() as tape:
        y = jnp.sum(v.value * 2)
        v.assign(v.value * 10)  # a fresh start: no derivative goes through the assignment
        y = y + jnp.sum(v.value * 3)
    np.testing.assert_array_equal(tape.gradient(y, v), [5, 5, 5])


def test_variables_that_share_one_array_do_not_mix():
    a, b = Variable(X), Variable(X)
    b.assign(a.peek())
    assert a.peek() is b.peek()
    with GradientTape() as outer, GradientTape() as inner:
        y = jnp.sum(a.value * 2 + b.value * 3 + a.value * 4)
    for tape in (outer, inner):
        gradients = tape.gradient(y, [a, b])
        np.testing.assert_array_equal(gradients[0], [6, 6, 6])
        np.testing.assert_array_equal(gradients[1], [3, 3, 3])


def test_second_derivative_towards_a_variable():
    v = Variable(3.0)
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = v.value**3
        slope = inner.gradient(y, v)
    assert outer.gradient(slope, v) == 18.0


def test_autocast_reads_give_gradients_in_the_variables_dtype():
    v = Variable(X)
    with GradientTape() as tape, autocast("bfloat16"):
        y = v.value * v.value
        assert y.dtype == jnp.bfloat16
    gradient = tape.gradient(y, v)
    assert gradient.dtype == jnp.float32
    np.testing.assert_array_equal(gradient, 2 * X)


def test_integer_variables_are_never_watched():
    count = Variable(jnp.array(3), dtype="int32", trainable=True)
    with GradientTape() as tape:
        y = X * count.value
    assert tape.watched_variables() == ()
    assert tape.gradient(y, count) is None


def test_jitted_step_over_a_scope():
    w, b = Variable(X), Variable(1.0)

    def step(values, x):
        with Scope(zip([w, b], values)) as scope, GradientTape() as tape:
            loss = jnp.mean((x @ w.value + b.value) ** 2)
        gradients = tape.gradient(loss, [w, b])
        for v, g in zip([w, b], gradients):
            scope.bind(v, scope.get_current_value(v) - 0.1 * g)
        return [scope.get_current_value(v) for v in (w, b)], loss

    def plain(values, x):
        def f(values):
            return jnp.mean((x @ values[0] + values[1]) ** 2)

        loss, gradients = jax.value_and_grad(f)(values)
        return [v - 0.1 * g for v, g in zip(values, gradients)], loss

    rows, values = jnp.ones((4, 3)), [w.peek(), b.peek()]
    with jax.checking_leaks():
        actual = jax.jit(step)(values, rows)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(plain(values, rows))):
        np.testing.assert_allclose(a, e, rtol=1e-6)


def test_scope_of_a_function_traced_inside_the_block():
    """Reads answered by an inner function's own tracers are none of the tape's business."""
    w = Variable(X)

    def body(carry, _):
        with Scope([(w, carry)]):
            return w.value * 2, None

    with jax.checking_leaks(), GradientTape() as tape:
        tape.watch(X)
        y, _ = jax.lax.scan(body, X, None, length=2)
    assert tape.watched_variables() == ()
    np.testing.assert_array_equal(tape.gradient(y, X), [4, 4, 4])


# -- stop, reset, re-enter -----------------------------------------------------------------------


def test_stop_recording():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X * 2
        with tape.stop_recording():
            aside = y * X
        z = y * 3
    assert tape.gradient(aside, X) is None
    np.testing.assert_array_equal(tape.gradient(z, X), [6, 6, 6])


def test_stop_recording_leaves_outer_tapes_recording():
    with GradientTape() as outer:
        outer.watch(X)
        with GradientTape() as inner:
            inner.watch(X)
            with inner.stop_recording():
                y = X * X
    assert inner.gradient(y, X) is None
    np.testing.assert_array_equal(outer.gradient(y, X), 2 * X)


def test_stop_recording_resumes_after_an_exception():
    with GradientTape() as tape:
        tape.watch(X)
        with pytest.raises(KeyError), tape.stop_recording():
            raise KeyError
        y = X * 2
    np.testing.assert_array_equal(tape.gradient(y, X), [2, 2, 2])


def test_reset():
    v = Variable(X)
    with GradientTape() as tape:
        y = jnp.sum(v.value**2)
        tape.reset()
        assert tape.watched_variables() == ()
        z = jnp.sum(v.value * 3)
    np.testing.assert_array_equal(tape.gradient(y + z, v) is None, True)


def test_reset_keeps_recording():
    v = Variable(X)
    with GradientTape() as tape:
        y = jnp.sum(v.value**2)
        tape.reset()
        z = y + jnp.sum(v.value * 3)
    np.testing.assert_array_equal(tape.gradient(z, v), [3, 3, 3])


def test_entering_again_goes_on_with_the_record_of_a_persistent_tape():
    tape = GradientTape(persistent=True)
    with tape:
        tape.watch(X)
        y = X * 2
    with tape:
        z = y * 3
    np.testing.assert_array_equal(tape.gradient(z, X), [6, 6, 6])


def test_entering_again_after_the_gradient_starts_afresh():
    tape = GradientTape()
    for factor in (2, 3):
        with tape:
            tape.watch(X)
            y = X * factor
        np.testing.assert_array_equal(tape.gradient(y, X), [factor] * 3)


def test_exception_in_the_block_restores_the_trace_and_the_hooks():
    from stepfit.core.scope import read_hooks

    before = outer_trace()
    with pytest.raises(ZeroDivisionError), GradientTape() as tape:
        tape.watch(X)
        y = X * X
        raise ZeroDivisionError
    assert outer_trace() is before and read_hooks() == ()
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)


def test_error_of_an_operation_inside_the_block_is_the_operations_own():
    with GradientTape() as tape:
        tape.watch(X)
        with pytest.raises(TypeError, match="dot_general requires contracting dimensions"):
            X @ jnp.ones((4, 2))
        y = X * 2
    np.testing.assert_array_equal(tape.gradient(y, X), [2, 2, 2])


def test_exception_inside_a_traced_function_inside_the_block():
    def body(c, x):
        raise ZeroDivisionError

    with GradientTape() as tape:
        tape.watch(X)
        with pytest.raises(ZeroDivisionError):
            jax.lax.scan(body, 0.0, X)
        y = X * 2
    np.testing.assert_array_equal(tape.gradient(y, X), [2, 2, 2])


# -- nothing stays behind ------------------------------------------------------------------------


def _step(x):
    with GradientTape() as tape:
        tape.watch(x)
        y = jnp.sum(jax.jit(jax.nn.relu)(x) ** 2)
    return tape.gradient(y, x)


def test_nothing_leaks():
    with jax.checking_leaks():
        np.testing.assert_array_equal(jax.jit(_step)(X), 2 * X)
        np.testing.assert_array_equal(jax.jit(jax.vmap(_step))(X[:, None]), 2 * X[:, None])
        jax.jit(jax.grad(lambda x: _step(x).sum()))(X)


def test_nothing_leaks_without_a_gradient():
    def forward(x):
        with GradientTape(persistent=True) as tape:
            tape.watch(x)
            return jnp.sin(x) * jax.lax.while_loop(lambda c: c[0] < 0, lambda c: c, x)

    with jax.checking_leaks():
        jax.jit(forward)(X)


def test_tape_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        with GradientTape(persistent=True) as tape:
            tape.watch(X)
            y = jnp.sin(X) * 2
        tape.gradient(y, X)
        alive = weakref.ref(tape)
        del tape
        assert alive() is None
    finally:
        gc.enable()


def test_gradient_frees_the_record():
    with GradientTape() as tape:
        tape.watch(X)
        y = jnp.sin(X) * 2
    middle = weakref.ref(y)
    tape.gradient(y, X)
    del y
    assert middle() is None


def test_values_inside_the_block_are_ordinary_arrays():
    with GradientTape() as tape:
        tape.watch(X)
        y = X * 2
        assert type(y) is type(X) and not isinstance(y, jax.core.Tracer)
        assert float(y[0]) == 2.0 and np.asarray(y).sum() == 12.0
        if y.sum() > 3:
            y = y * 5
    np.testing.assert_array_equal(tape.gradient(y, X), [10, 10, 10])


def test_jitted_function_called_before_the_block_is_recorded():
    f = jax.jit(lambda x: jnp.sum(x**2))
    for _ in range(3):
        f(X)
    with GradientTape() as tape:
        tape.watch(X)
        y = f(X)
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)


def test_cached_closure_of_a_jitted_function_is_recorded():
    f = jax.jit(lambda: jnp.sum(X**2))
    f(), f()
    with GradientTape() as tape:
        tape.watch(X)
        y = f()
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)


def test_tapes_in_threads_do_not_meet():
    results = {}

    def work(i, gate=threading.Barrier(2)):  # noqa: B008
        x = X * (i + 1)
        with GradientTape() as tape:
            tape.watch(x)
            gate.wait()
            y = x**2
            gate.wait()
        results[i] = tape.gradient(y, x)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(results[0], 2 * X)
    np.testing.assert_array_equal(results[1], 4 * X)


# -- Jacobians -----------------------------------------------------------------------------------


def _vector(x):
    return jnp.stack([x[0] * x[1], jnp.sin(x[2]), jnp.sum(x), x[0] ** 3]).reshape(2, 2)


@pytest.mark.parametrize("jit", [False, True])
def test_jacobian(jit):
    def run(x):
        with GradientTape() as tape:
            tape.watch(x)
            y = _vector(x)
        return tape.jacobian(y, {"x": x})["x"]

    actual = (jax.jit(run) if jit else run)(X)
    np.testing.assert_allclose(actual, jax.jacrev(_vector)(X), rtol=1e-6)


def test_jacobian_of_unconnected_sources():
    v = Variable(X)
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X * 2
    assert tape.jacobian(y, [v]) == [None]
    assert tape.jacobian(y, v, unconnected_gradients="zero").shape == (3, 3)
    assert tape.batch_jacobian(y, v, unconnected_gradients="zero").shape == (3,)
    assert tape.batch_jacobian(y, v) is None


def test_jacobian_of_a_jacobian_is_the_hessian():
    with GradientTape() as outer:
        outer.watch(X)
        with GradientTape() as inner:
            inner.watch(X)
            y = jnp.sum(jnp.sin(X) * X[::-1])
        slope = inner.gradient(y, X)
    expected = jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x[::-1]))(X)
    np.testing.assert_allclose(outer.jacobian(slope, X), expected, rtol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_batch_jacobian(jit):
    per_example = lambda row: jnp.outer(row, jnp.sin(row))[:, :2]
    rows = jnp.arange(12.0).reshape(4, 3)

    def run(rows):
        with GradientTape() as tape:
            tape.watch(rows)
            y = jax.vmap(per_example)(rows)
        return tape.batch_jacobian(y, rows)

    actual = (jax.jit(run) if jit else run)(rows)
    np.testing.assert_allclose(actual, jax.vmap(jax.jacrev(per_example))(rows), rtol=1e-6)


# -- refusals ------------------------------------------------------------------------------------


def _refuses(kind, text, call):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_second_gradient_of_an_ordinary_tape():
    with GradientTape() as tape:
        tape.watch(X)
        y = X * X
    tape.gradient(y, X)
    for method in ("gradient", "jacobian", "batch_jacobian"):
        _refuses(
            RuntimeError,
            f"GradientTape.{method}: expected a tape whose gradients have not been taken yet, "
            "found one that has given them already; ask for all sources in one call, or use "
            "GradientTape(persistent=True).",
            lambda: getattr(tape, method)(y, X),  # noqa: B023
        )


def test_entering_a_tape_inside_itself():
    with GradientTape() as tape:
        _refuses(
            RuntimeError,
            "GradientTape.__enter__: expected a tape that is not recording, found one inside whose "
            "`with` block this is; make another GradientTape for the inner block.",
            tape.__enter__,
        )


@pytest.mark.parametrize("method", ["stop_recording", "reset"])
def test_outside_the_block(method):
    with GradientTape() as tape:
        pass

    def call():
        with getattr(tape, method)():
            pass

    _refuses(
        RuntimeError,
        f"GradientTape.{method}: expected a tape that is recording, found one outside its `with` "
        "block; call it inside the block.",
        call,
    )


def test_watching_what_cannot_be_watched():
    tape = GradientTape()
    _refuses(
        TypeError,
        "GradientTape.watch, argument tensor: expected JAX arrays or Variables, found "
        "float32[2]; make an array with jnp.asarray(x), and use that array inside the block.",
        lambda: tape.watch([X, np.zeros(2, "float32")]),
    )
    _refuses(
        TypeError,
        "GradientTape.watch, argument tensor: expected a float or complex dtype, found int32[2]; "
        "convert it with x.astype('float32'), or leave it out.",
        lambda: tape.watch({"a": jnp.arange(2)}),
    )
    assert not tape._recorder.tracked


def test_targets_that_have_no_gradient():
    with GradientTape() as tape:
        tape.watch(X)
        y = jnp.argmax(X)
    _refuses(
        TypeError,
        "GradientTape.gradient, argument target: expected a float or complex dtype, found int32[]; "
        "convert it inside the block with y.astype('float32').",
        lambda: tape.gradient(y, X),
    )
    _refuses(
        TypeError,
        "GradientTape.gradient, argument target: expected JAX arrays, found 1.5; compute it inside "
        "the block.",
        lambda: tape.gradient([1.5], X),
    )


def test_sources_that_cannot_be_sources():
    with GradientTape() as tape:
        tape.watch(X)
        y = X * X
    _refuses(
        TypeError,
        "GradientTape.gradient, argument sources: expected Variables or watched JAX arrays, found "
        "'x'; make an array with jnp.asarray(x), watch it, and use it inside the block.",
        lambda: tape.gradient(y, ["x"]),
    )
    np.testing.assert_array_equal(tape.gradient(y, X), 2 * X)  # the tape is not used up


def test_unconnected_gradients_misspelt():
    with GradientTape() as tape:
        pass
    _refuses(
        ValueError,
        "GradientTape.gradient, argument unconnected_gradients: expected 'none' or 'zero', found "
        "'zeros'.",
        lambda: tape.gradient(X, X, unconnected_gradients="zeros"),
    )


def test_output_gradients_that_do_not_match():
    with GradientTape() as tape:
        tape.watch(X)
        y = X * X
    where = "GradientTape.gradient, argument output_gradients: expected "
    _refuses(
        ValueError,
        where + "the shape of its target, float32[3], found float32[2]; broadcast it with "
        "jnp.broadcast_to.",
        lambda: tape.gradient(y, X, output_gradients=jnp.ones(2)),
    )
    _refuses(
        ValueError,
        where + "the structure of target, PyTreeDef([*]), found PyTreeDef([*, *]).",
        lambda: tape.gradient([y], X, output_gradients=[X, X]),
    )


def test_batch_jacobian_without_a_common_batch_axis():
    with GradientTape() as tape:
        tape.watch(X)
        y = X[:2]
    _refuses(
        ValueError,
        "GradientTape.batch_jacobian, argument source: expected the batch axis of the target, "
        "float32[2], found float32[3]; give both a first axis of one length, or use jacobian.",
        lambda: tape.batch_jacobian(y, X),
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_gradient_of_the_outer_tape_inside_the_inner_block(persistent):
    with GradientTape(persistent=persistent) as outer:
        outer.watch(X)
        with GradientTape() as inner:
            inner.watch(X)
            y = jnp.sum(X**3)
            _refuses(
                RuntimeError,
                "GradientTape.gradient: expected a call after the tape's `with` block, or directly "
                "in it, found one in the block of another tape, or in a traced function, inside "
                "it; leave the inner block first, or swap the two tapes.",
                lambda: outer.gradient(y, X),
            )
        slope = inner.gradient(y, X)
    np.testing.assert_allclose(outer.gradient(slope, X), 6 * X)


def test_jacobian_inside_the_block_of_a_persistent_tape():
    with GradientTape(persistent=True) as tape:
        tape.watch(X)
        y = X**2
        _refuses(
            RuntimeError,
            "GradientTape.jacobian: expected a call after the `with` block of a persistent tape, "
            "found one inside it; leave the block first, or use two nested tapes for derivatives "
            "of a Jacobian.",
            lambda: tape.jacobian(y, X),
        )
        with tape.stop_recording():
            np.testing.assert_allclose(tape.jacobian(y, X), jnp.diag(2 * X))


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_custom_rule_that_captures_a_watched_value(kind):
    def scaled(x):
        return x * captured

    if kind == "vjp":
        f = jax.custom_vjp(scaled)
        f.defvjp(lambda x: (x * captured, None), lambda _, ct: (ct,))
    else:
        f = jax.custom_jvp(scaled)
        f.defjvp(lambda p, t: (p[0] * captured, t[0]))
    captured = X + 1
    with GradientTape() as tape:
        tape.watch([X, captured])
        _refuses(
            RuntimeError,
            f"GradientTape, in a custom_{kind} function: expected a function that differentiates "
            "only its arguments, found a watched value that it captured, float32[3]; pass that "
            "value as an argument, or use jax.lax.stop_gradient on it before.",
            lambda: f(X),
        )


@pytest.mark.parametrize("jit", [False, True])
def test_mutable_array_that_gets_a_watched_value(jit):
    def write(x):
        with GradientTape() as tape:
            tape.watch(x)
            ref = jax.new_ref(jnp.zeros(3))
            ref[...] = x

    def make(x):
        with GradientTape() as tape:
            tape.watch(x)
            jax.new_ref(x)

    for run, primitive in ((write, "swap"), (make, "new_ref")):
        _refuses(
            RuntimeError,
            f"GradientTape, in the primitive {primitive}: expected only constants in a mutable "
            "array (jax.Ref), found a watched value, float32[3]; use x.at[...].set(...), or move "
            "all uses of the Ref into one jax.jit function.",
            lambda: (jax.jit(run) if jit else run)(X),  # noqa: B023
        )
