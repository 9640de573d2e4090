"""Set-up for every test: the oracle's backend, one seed, and a cache of compiled programs.

Most of the time of the tests would go into compiling the same small programs again and again; JAX's
persistent cache lets the workers, and the next run, share them.
"""

import functools
import gc
import os
import pathlib
import signal

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parent / ".jax_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def fresh_names_and_seed():
    """Automatic names and random numbers do not depend on the tests run before."""
    from stepfit import utils
    from stepfit.core import naming

    naming.reset_names()
    utils.set_random_seed(0)


def pytest_collection_finish(session):
    """Have the garbage collector look at what the tests make alone, not at what they import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


_OPTIMIZED = ("test_fused", "rewrite/test_program", "faults", "compilation_cache", "backup")
_QUICK = {"xla_cpu_use_fusion_emitters": "False"}


@pytest.fixture(autouse=True, scope="module")
def quick_compilation(request):
    """Compile with few optimizations, by XLA's older emitters: it takes most of the time of tests.

    Not where a test is about what the compiler makes of it, or about the same bits twice.
    """
    if any(part in request.node.nodeid for part in _OPTIMIZED):
        yield
        return
    import jax
    from jax._src import compiler

    with pytest.MonkeyPatch.context() as patch:
        if _knows_quick_options():
            patch.setattr(compiler, "get_compile_options", _quicker(compiler.get_compile_options))
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)


@functools.cache
def _knows_quick_options():
    """Say whether this version of XLA has them; there is no way to ask but to try."""
    import jax

    try:
        jax.jit(lambda: 0, compiler_options=_QUICK)()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _quicker(function):
    def options(*args, env_options_overrides=None, **kwargs):
        return function(
            *args, env_options_overrides={**_QUICK, **(env_options_overrides or {})}, **kwargs
        )

    return options
