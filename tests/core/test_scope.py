"""Scope: which value a Variable has, here and now."""

import threading

import jax
import jax.numpy as jnp
import pytest

import stepfit
from stepfit.core import scope as scopes
from tests.expect import refused

Scope = stepfit.StatelessScope


def test_reads_and_writes_go_to_the_scope():
    v, w = stepfit.Variable(1.0), stepfit.Variable(10.0)
    with Scope([(v, 2.0)]) as scope:
        assert v.value == 2 and w.value == 10
        v.assign_add(1.0)
        w.assign(20.0)
        assert v.value == 3 and w.value == 20
    assert (v.value, w.value) == (1, 10)
    assert (scope.get_current_value(v), scope.get_current_value(w)) == (3, 20)
    assert scope.get_current_value(stepfit.Variable(0.0)) is None


def test_values_are_cast_and_checked():
    v = stepfit.Variable([1.0, 2.0], name="v")
    with Scope([(v, [3, 4])]):
        assert v.value.dtype == "float32"
    text = "Variable 'v': expected a value of shape (2,), found shape (3,)."
    refused(lambda: Scope([(v, [1.0, 2.0, 3.0])]), ValueError, text)
    with Scope():
        refused(lambda: v.assign([1.0, 2.0, 3.0]), ValueError, text)


def test_state_becomes_an_argument():
    count = stepfit.Variable(0)

    def tick(n):
        with Scope([(count, n)]) as scope:
            count.assign_add(1)
            seen = count * 10
        return seen, scope.get_current_value(count)

    seen, n = jax.jit(tick)(4)
    assert (seen, n, count.value) == (50, 5, 0)
    _, total = jax.lax.scan(lambda n, _: tick(n)[::-1], 0, None, length=3)
    assert total.tolist() == [10, 20, 30]


def test_scopes_nest():
    a, b = stepfit.Variable(1.0), stepfit.Variable(2.0)
    with Scope([(a, 10.0)]) as outer:
        with Scope([(b, 20.0)]) as inner:
            assert (a.value, b.value) == (10, 20)  # what the inner does not know, the outer does
            a.assign(11.0)
            assert inner.get_current_value(a) == 11
        assert (a.value, b.value) == (10, 2)  # a write stays in the innermost
        assert outer.get_current_value(b) is None
    assert (a.value, b.value) == (1, 2)


def test_a_gradient_inside_a_scope():
    w = stepfit.Variable(3.0)

    def inner(value):
        with Scope([(w, value)]):
            return w * w

    def step(value):
        with Scope([(w, value)]) as scope:
            w.assign(w - 0.1 * jax.grad(inner)(w.value))
        return scope.get_current_value(w)

    assert jax.jit(step)(3.0) == pytest.approx(2.4)


def test_a_scope_ends_when_an_error_is_raised():
    v = stepfit.Variable(1.0)
    with pytest.raises(KeyError), Scope([(v, 2.0)]):
        raise KeyError
    assert v.value == 1 and not scopes.in_stateless_scope()


def test_other_threads_do_not_see_it():
    v = stepfit.Variable(0.0)
    seen, barrier = {}, threading.Barrier(4)

    def run(n):
        with Scope([(v, float(n))]) as scope:
            barrier.wait()
            v.assign_add(100.0)
            barrier.wait()
            seen[n] = (float(v.value), float(scope.get_current_value(v)))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    barrier.wait()
    seen["outside"] = float(v.value)
    barrier.wait()
    for thread in threads:
        thread.join()
    assert seen == {0: (100, 100), 1: (101, 101), 2: (102, 102), "outside": 0}


def test_guests_are_the_variables_that_no_scope_knew():
    known, read, written = (stepfit.Variable(1.0) for _ in range(3))
    with Scope([(known, 1.0)]) as outer:
        with Scope() as inner:
            _ = known.value, read.value
            written.assign(2.0)
            written.assign_add(known)
    assert [id(v) for v in outer.guests.values()] == [id(read), id(written)]
    assert not inner.guests


def test_setting_the_scope_aside():
    v = stepfit.Variable(1.0)
    with Scope([(v, 2.0)]):
        with scopes.no_scope():
            assert v.value == 1
            v.assign(5.0)
        assert v.value == 2
    assert v.value == 5


def test_add_update_is_an_assignment():
    v = stepfit.Variable(1.0)
    scope = Scope()
    scope.add_update((v, 3))
    assert scope.get_current_value(v) == 3 and v.value == 1


def test_autocast_nests_and_ends():
    v = stepfit.Variable(1.0)
    with scopes.autocast("float16"):
        assert v.value.dtype == "float16"
        with scopes.autocast(None):
            assert v.value.dtype == "float32"
        with scopes.autocast("bfloat16"), Scope([(v, 2.0)]) as scope:
            assert v.value.dtype == "bfloat16"
            assert scope.get_current_value(v).dtype == "float32"
        assert v.value.dtype == "float16"
    assert v.value.dtype == "float32" and scopes.autocast_dtype() is None


def test_read_hooks_see_every_read_and_may_replace_it():
    v, log = stepfit.Variable(1.0), []

    def note(variable, value):
        log.append((variable is v, float(value)))
        return value

    with scopes.read_hook(note):
        _ = v + 1
        with Scope([(v, 5.0)]), scopes.read_hook(lambda _, x: x * 2):
            assert v.value == 10
    assert log == [(True, 1.0), (True, 5.0)]
    assert v.value == 1 and len(log) == 2


def test_a_scope_leaks_no_tracer():
    v = stepfit.Variable(jnp.ones(2))
    with jax.checking_leaks():

        @jax.jit
        def f(x):
            with Scope([(v, x)]):
                v.assign_add(x)
                return v.value

        assert f(jnp.ones(2)).tolist() == [2, 2]
