"""Set-up for every test: the oracle's backend, one seed, and a cache of compiled programs.

Most of the time of the tests would go into compiling the same small programs again and again; JAX's
persistent cache lets the workers, and the next run, share them.
"""

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


_OPTIMIZED = ("test_fused", "rewrite/test_program", "faults", "compilation_cache", "backup")


@pytest.fixture(autouse=True, scope="module")
def quick_compilation(request):
    """Compile without most optimizations, of which compiling has most of its time.

    Not where a test is about what the compiler makes of it, or about the same bits twice.
    """
    import jax

    optimized = any(part in request.node.nodeid for part in _OPTIMIZED)
    jax.config.update("jax_disable_most_optimizations", not optimized)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
