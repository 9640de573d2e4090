"""Initializers: the distribution, shape, dtype and config of each, beside real Keras."""

import inspect

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

from stepfit import initializers, random, utils
from stepfit.core import seeding
from stepfit.core.variable import Variable
from tests.parity.properties import round_trip, without_row

SHAPE = (60, 50)  # 3,000 numbers: a standard deviation is known to 1.3 %
RANDOM = [
    ("RandomNormal", {"mean": 0.5, "stddev": 0.2}),
    ("RandomUniform", {"minval": -0.1, "maxval": 0.4}),
    ("TruncatedNormal", {"mean": 0.5, "stddev": 0.2}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "uniform", "input_axes": [0],
                         "output_axes": [1]}),
    ("VarianceScaling", {"distribution": "normal"}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("Orthogonal", {"gain": 2.0}),
]  # fmt: skip
CONSTANT = [
    ("Zeros", {}), ("Ones", {}), ("Constant", {"value": 2.5}), ("Identity", {"gain": 2.0}),
]  # fmt: skip
KERNELS = [
    ("STFT", {}), ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum"}),
    ("STFT", {"window": None}), ("STFT", {"side": "imag", "periodic": True, "scaling": None}),
]  # fmt: skip
BOUNDED = {"RandomUniform", "TruncatedNormal", "VarianceScaling", "GlorotNormal", "GlorotUniform",
           "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"}  # fmt: skip
every_random = pytest.mark.parametrize("name, arguments", RANDOM)
every_one = pytest.mark.parametrize("name, arguments", RANDOM + CONSTANT + KERNELS)


def make(library, name, arguments, **extra):
    return getattr(library, name)(**arguments, **extra)


@every_random
def test_distribution_is_keras(name, arguments):
    ours = np.asarray(make(initializers, name, arguments, seed=3)(SHAPE))
    theirs = np.asarray(make(oracle.initializers, name, arguments, seed=3)(SHAPE))
    spread = theirs.std()
    np.testing.assert_allclose(ours.std(), spread, rtol=0.06)
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.1 * spread)
    for q in (0.05, 0.25, 0.75, 0.95):
        np.testing.assert_allclose(np.quantile(ours, q), np.quantile(theirs, q), atol=0.12 * spread)
    if name in BOUNDED and arguments.get("distribution") != "untruncated_normal":
        np.testing.assert_allclose(ours.max(), theirs.max(), atol=0.05 * spread)
        np.testing.assert_allclose(ours.min(), theirs.min(), atol=0.05 * spread)


@pytest.mark.parametrize("name, arguments", CONSTANT)
def test_constants_are_keras(name, arguments):
    ours = make(initializers, name, arguments)((3, 4))
    np.testing.assert_array_equal(ours, make(oracle.initializers, name, arguments)((3, 4)))


@pytest.mark.parametrize("name, arguments", KERNELS)
def test_kernels_are_keras(name, arguments):
    ours = make(initializers, name, arguments)((8, 1, 9))
    theirs = make(oracle.initializers, name, arguments)((8, 1, 9))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@every_one
def test_signature_config_and_clone_are_keras(name, arguments):
    ours, theirs = make(initializers, name, arguments), make(oracle.initializers, name, arguments)
    assert inspect.signature(type(ours)) == inspect.signature(type(theirs))
    config = ours.get_config()
    round_trip(initializers, ours)
    again = initializers.get(oracle.initializers.serialize(theirs))
    assert type(again) is type(ours)
    # Keras loses the gain of Identity, and renames the distribution "normal".
    if name != "Identity" and arguments.get("distribution") != "normal":
        assert config == theirs.get_config() == again.get_config()
    assert type(ours.clone()) is type(ours)


@pytest.mark.parametrize("name, arguments", RANDOM + CONSTANT)
def test_shapes_and_dtypes(name, arguments):
    initializer = make(initializers, name, arguments)
    for dtype in ("float32", "bfloat16", "float16"):
        value = initializer((3, 2), dtype=dtype)
        assert isinstance(value, jax.Array) and value.shape == (3, 2) and value.dtype == dtype
    assert initializer((4, 5)).dtype == "float32"
    if name not in ("Identity", "Orthogonal") and "input_axes" not in arguments:
        assert initializer(()).shape == () and initializer(5).shape == (5,)
        assert initializer((2, 0)).shape == (2, 0)
    if name != "Identity":
        assert initializer([2, 3, 4]).shape == (2, 3, 4)


@every_one
def test_compiles_once_to_the_eager_values(name, arguments):
    initializer = make(initializers, name, arguments)
    shape = (3, 1, 8) if name == "STFT" else (3, 2)
    compiled = jax.jit(lambda x: x + initializer(shape, dtype="float32"))
    for x in (0.0, 1.0):
        np.testing.assert_allclose(compiled(x), x + initializer(shape), rtol=1e-6, atol=1e-6)
    assert compiled._cache_size() == 1


WITHOUT_ROW = {"Initializer", "RandomInitializer", "compute_fans", "deserialize", "get",
               "serialize"}  # fmt: skip


def test_every_initializer_has_a_row():
    tested = [getattr(initializers, name) for name, _ in RANDOM + CONSTANT + KERNELS]
    assert without_row(initializers, tested) == WITHOUT_ROW


@every_random
def test_seeds(name, arguments):
    one, two = (make(initializers, name, arguments, seed=s) for s in (1, 2))
    np.testing.assert_array_equal(one((3, 3)), one((3, 3)))
    assert (np.asarray(one((3, 3))) != np.asarray(two((3, 3)))).any()
    drawn = make(initializers, name, arguments)
    np.testing.assert_array_equal(drawn((3, 3)), drawn((3, 3)))
    assert (np.asarray(make(initializers, name, arguments)((3, 3))) != drawn((3, 3))).any()
    generator = make(initializers, name, arguments, seed=random.SeedGenerator(1))
    assert (np.asarray(generator((3, 3))) != np.asarray(generator((3, 3)))).any()
    utils.set_random_seed(5)
    first = make(initializers, name, arguments)((3, 3))
    utils.set_random_seed(5)
    np.testing.assert_array_equal(make(initializers, name, arguments)((3, 3)), first)


def test_orthogonal():
    for shape in ((6, 4), (4, 6), (3, 2, 5)):
        q = np.asarray(initializers.Orthogonal(gain=2.0, seed=1)(shape)).reshape(-1, shape[-1])
        small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        np.testing.assert_allclose(small, 4 * np.eye(min(q.shape)), atol=1e-5)


@pytest.mark.parametrize(
    "shape", [(), (5,), (3, 4), (3, 3, 4, 8), (2, 3, 4)], ids=lambda s: str(len(s))
)
def test_fans_are_keras(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)


def test_fans_of_chosen_axes():
    assert initializers.compute_fans((2, 3, 4, 5), [0, 1], [2, 3]) == (6, 20)
    w = initializers.HeUniform(seed=0, input_axes=[0], output_axes=[1, 2])((6, 30, 30))
    np.testing.assert_allclose(abs(w).max(), 1.0, atol=1e-3)


def test_names_are_keras():
    from keras.src.initializers import ALL_OBJECTS_DICT

    missing = set(ALL_OBJECTS_DICT) - set(initializers._catalogue.entries)
    assert missing == {"Initializer", "initializer"}
    for name in set(ALL_OBJECTS_DICT) - missing:
        assert type(initializers.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__
    assert initializers.glorot_uniform is initializers.GlorotUniform
    assert initializers.get(None) is None


def test_get_takes_classes_functions_and_arrays():
    assert isinstance(initializers.get(initializers.HeNormal), initializers.HeNormal)
    ramp = lambda shape, dtype=None: np.arange(shape[0], dtype=dtype)
    assert initializers.get(ramp) is ramp
    for array in (np.arange(3.0), jnp.arange(3.0)):
        given = initializers.get(array)
        np.testing.assert_array_equal(given((3,), dtype="float16"), [0, 1, 2])
    assert Variable("he_normal", shape=(3, 4)).shape == (3, 4)


def test_inside_a_trace_the_numbers_are_concrete():
    seen = []

    @jax.jit
    def build(x):
        seen.append(Variable(initializers.HeNormal(seed=random.SeedGenerator(1)), shape=(2, 2)))
        return x

    build(0.0)
    assert np.isfinite(seen[0].numpy()).all()


def test_process_wide_seed():
    seeding.set_seed(1)
    first = [seeding.draw_seed() for _ in range(3)]
    seeding.set_seed(1)
    assert [seeding.draw_seed() for _ in range(3)] == first and len(set(first)) == 3
    assert all(0 <= s < 2**31 for s in first) and seeding.last_seed() == 1


ERRORS = [
    (lambda: initializers.get("he_norml"),
     "initializer: expected the name of an initializer, found 'he_norml'; did you mean "
     "'he_normal'?"),
    (lambda: initializers.get(3),
     "initializer: expected an initializer, its name, or a callable, found 3."),
    (lambda: initializers.HeNormal(seed="x"),
     "HeNormal seed: expected an int, None or a SeedGenerator, found 'x'."),
    (lambda: initializers.VarianceScaling(scale=0),
     "VarianceScaling scale: expected a positive float, found 0."),
    (lambda: initializers.VarianceScaling(mode="fan_inn"),
     "VarianceScaling mode: expected the name of a mode, found 'fan_inn'; did you mean 'fan_in'?"),
    (lambda: initializers.VarianceScaling(distribution="unform"),
     "VarianceScaling distribution: expected the name of a distribution, found 'unform'; did you "
     "mean 'uniform'?"),
    (lambda: initializers.Identity()((2, 2, 2)),
     "Identity(shape): expected two axes, found shape (2, 2, 2)."),
    (lambda: initializers.Orthogonal()((2,)),
     "Orthogonal(shape): expected at least two axes, found shape (2,)."),
    (lambda: initializers.HeNormal()((2, 2), dtype="int32"),
     "initializer dtype: expected a float dtype, found 'int32'."),
    (lambda: initializers.get(np.ones(3))((4,)),
     "initializer given as an array: expected the shape (4,) of the weight, found shape (3,)."),
    (lambda: initializers.Initializer()((1,)),
     "Initializer: expected a method __call__(self, shape, dtype=None) that returns an array, "
     "found none; define it."),
    (lambda: seeding.set_seed("1"), "set_seed(seed): expected an int, found '1'."),
    (lambda: seeding.set_seed(-1), "set_seed(seed): expected a non-negative int, found -1."),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(act, text):
    with pytest.raises((ValueError, TypeError, NotImplementedError)) as error:
        act()
    assert str(error.value) == text
