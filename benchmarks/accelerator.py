"""Floating-point operations: how many a step has, and how many a second the device can do."""

import time

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.frameworks.batches import views


def measured_peak(size=8192, chain=16, times=10):
    """Return the operations per second of `chain` bfloat16 matrix products, the best of `times`."""

    @jax.jit
    def multiply(x, w):
        return lax.fori_loop(0, chain, lambda _, x: x @ w, x)

    x = jnp.ones((size, size), jnp.bfloat16) / size
    multiply(x, x).block_until_ready()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        multiply(x, x).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 * chain / min(seconds)


def step_flops(workload):
    """Return the operations of one step: by hand where the workload says, else by XLA's count.

    XLA counts the step as it is traced, before anything is rewritten or fused, so the count is the
    same for all and on all devices.
    """
    if workload.flops() is not None:
        return workload.flops()
    batch = views(workload.data, workload.batch)[0]
    state = jax.eval_shape(workload.jax_state)
    return jax.jit(workload.jax_step).lower(state, batch).cost_analysis()["flops"]
