"""Random numbers: what is seeded how, and what they are distributed like."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit
from stepfit import random
from stepfit.random import seed_generator
from tests.expect import refused

DRAWS = {
    "normal": lambda seed: random.normal((4, 5), seed=seed),
    "uniform": lambda seed: random.uniform((4, 5), seed=seed),
    "randint": lambda seed: random.randint((4, 5), 0, 1000, seed=seed),
    "uniform_int": lambda seed: random.uniform((4, 5), 0, 1000, dtype="int32", seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((4, 5), seed=seed),
    "categorical": lambda seed: random.categorical(np.zeros((2, 50), "f"), 10, seed=seed),
    "dropout": lambda seed: random.dropout(np.ones((10, 10), "f"), 0.5, seed=seed),
    "shuffle": lambda seed: random.shuffle(np.arange(30), seed=seed),
    "gamma": lambda seed: random.gamma((4, 5), 2.0, seed=seed),
    "binomial": lambda seed: random.binomial((4, 5), 100.0, 0.5, seed=seed),
    "beta": lambda seed: random.beta((4, 5), 2.0, 3.0, seed=seed),
}


def same(a, b):
    return bool((np.asarray(a) == np.asarray(b)).all())


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_seeds(draw):
    assert same(draw(1), draw(1)) and not same(draw(1), draw(2))  # an int: the same each time
    a, b = random.SeedGenerator(1), random.SeedGenerator(1)
    first, second = draw(a), draw(a)
    assert not same(first, second)
    assert same(draw(b), first) and same(draw(b), second)
    assert not same(draw(None), draw(None))
    stepfit.utils.set_random_seed(5)
    first, second = draw(None), draw(None)
    stepfit.utils.set_random_seed(5)
    assert same(draw(None), first) and same(draw(None), second)


@pytest.mark.parametrize("name", ["normal", "randint", "shuffle"])
def test_keys_of_jax_and_compiled_functions(name):
    key = jax.random.key(3)
    assert same(DRAWS[name](key), DRAWS[name](key))
    assert same(jax.jit(lambda: DRAWS[name](7))(), DRAWS[name](7))


N = 20_000
MOMENTS = {  # draw, mean, variance
    "normal": (lambda s: random.normal((N,), 2.0, 3.0, seed=s), 2, 9),
    "uniform": (lambda s: random.uniform((N,), -1.0, 3.0, seed=s), 1, 16 / 12),
    "randint": (lambda s: random.randint((N,), 0, 10, seed=s), 4.5, 99 / 12),
    "truncated": (lambda s: random.truncated_normal((N,), 1.0, 2.0, seed=s), 1, 4 * 0.7737),
    "gamma": (lambda s: random.gamma((N,), 3.0, seed=s), 3, 3),
    "binomial": (lambda s: random.binomial((N,), 20.0, 0.3, seed=s), 6, 4.2),
    "beta": (lambda s: random.beta((N,), 2.0, 3.0, seed=s), 0.4, 0.04),
    "dropout": (lambda s: random.dropout(np.ones(N, "f"), 0.2, seed=s), 1, 0.25),
    "categorical": (
        lambda s: random.categorical(np.log([[0.2, 0.3, 0.5]]).astype("f"), N, seed=s)[0], 1.3, 0.61
    ),
}  # fmt: skip


@pytest.mark.parametrize(("draw", "mean", "variance"), MOMENTS.values(), ids=MOMENTS)
def test_moments(draw, mean, variance):
    x = np.asarray(draw(random.SeedGenerator(3)), "float64")
    assert x.shape == (N,)
    assert abs(x.mean() - mean) < 5 * (variance / N) ** 0.5
    assert x.var() == pytest.approx(variance, rel=0.06)


def test_bounds_and_dtypes():
    u = random.uniform((1000,), 2.0, 3.0, dtype="float16", seed=1)
    assert u.dtype == "float16" and u.min() >= 2 and u.max() <= 3
    i = random.randint((1000,), 3, 6, dtype="int8", seed=1)
    assert i.dtype == "int8" and set(np.unique(i)) == {3, 4, 5}
    t = random.truncated_normal((1000,), 1.0, 2.0, seed=1)
    assert t.min() >= -3 and t.max() <= 5
    assert sorted(random.shuffle(np.arange(20), seed=1).tolist()) == list(range(20))
    rows = random.shuffle(np.arange(20).reshape(2, 10), axis=1, seed=1)
    assert sorted(rows[0].tolist()) == list(range(10))
    refused(
        lambda: random.normal((2,), dtype="int32"), ValueError,
        "dtype: expected a float dtype, found 'int32'; use random.randint for ints.",
    )  # fmt: skip


def test_dropout():
    x = np.ones((200, 50), "float32")
    y = np.asarray(random.dropout(x, 0.25, seed=1))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    columns = np.asarray(random.dropout(x, 0.5, noise_shape=(None, 1), seed=1))
    assert (columns == columns[:, :1]).all() and 0 < columns.mean() < 2
    assert same(random.dropout(x, 0.0, seed=1), x)
    symbolic = random.dropout(stepfit.Input((3,)), 0.5)
    assert symbolic.shape == (None, 3)


def test_a_seed_generator_in_a_compiled_step():
    generator = random.SeedGenerator(1)

    @jax.jit
    def step(state):
        with stepfit.StatelessScope([(generator.state, state)]) as scope:
            x = random.normal((3,), seed=generator)
        return x, scope.get_current_value(generator.state)

    state, seen = generator.state.value, []
    for _ in range(3):
        x, state = step(state)
        seen.append(x)
    assert same(seen, [random.normal((3,), seed=generator) for _ in range(3)])
    assert same(generator.state.value, state)


def test_a_seed_generator_in_jit_without_a_scope():
    generator = random.SeedGenerator(1)
    with pytest.raises(ValueError, match="'seed_generator/seed_generator_state': a traced"):
        jax.jit(lambda x: x + random.normal((2,), seed=generator))(1.0)
    assert generator.state.value.tolist() == [1, 0]


FROZEN = (
    "stepfit.random: expected a seed inside jax.jit, found seed=None; the numbers would be frozen "
    "into the compiled function and repeat at every call. Pass seed=SeedGenerator(...) that the "
    "model or layer holds as an attribute, or a jax.random key of your own with jax.random.*."
)


def test_the_global_generator_refuses_to_be_frozen():
    refused(lambda: jax.jit(lambda: random.normal((2,)))(), RuntimeError, FROZEN)

    def scoped(value):
        with stepfit.StatelessScope([(other, value)]):
            return random.normal((2,))

    other = stepfit.Variable(1.0)
    refused(lambda: jax.jit(scoped)(1.0), RuntimeError, FROZEN)


def test_the_global_generator_in_a_step_that_carries_its_state():
    generator = seed_generator.global_generator()

    @jax.jit
    def step(state):
        with stepfit.StatelessScope([(generator.state, state)]):
            return jnp.stack([random.normal((2,)), random.normal((2,))])

    one, two = step(np.array([1, 0], "uint32")), step(np.array([1, 1], "uint32"))
    assert not same(one[0], one[1]) and not same(one, two)
    assert same(one, step(np.array([1, 0], "uint32")))


def test_generators_of_their_own():
    names = [random.SeedGenerator(1).name for _ in range(2)]
    assert names == ["seed_generator", "seed_generator_1"]
    stepfit.utils.set_random_seed(3)
    a = random.SeedGenerator()
    stepfit.utils.set_random_seed(3)
    b, c = random.SeedGenerator(), random.SeedGenerator()
    assert a.initial_seed == b.initial_seed != c.initial_seed
    again = random.SeedGenerator.from_config(a.get_config())
    assert same(again.next(), a.next())
    assert random.SeedGenerator(-1).state.value.tolist() == [2**32 - 1, 0]
    assert random.SeedGenerator(2**40 + 3).state.value.tolist() == [3, 0]


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: random.SeedGenerator("a"), TypeError,
            "SeedGenerator(seed): expected an int or None, found 'a'.",
        ),
        (
            lambda: random.SeedGenerator(sed=1), ValueError,
            "SeedGenerator(...): expected the name of an argument, found 'sed'; did you mean "
            "'seed'?",
        ),
        (
            lambda: random.normal((2,), seed=1.5), TypeError,
            "seed: expected None, an int, a SeedGenerator or a JAX key, found 1.5.",
        ),
    ],
)  # fmt: skip
def test_refused_word_for_word(make, kind, text):
    refused(make, kind, text)
