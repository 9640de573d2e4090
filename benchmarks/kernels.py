"""Milliseconds of convolutions and pooling, plain and rewritten, outside and inside of a loop.

Run ``python -m benchmarks.kernels [part of a name ...]``. Each case is the forward pass and all its
gradients, in turns with the other columns; figures are medians. Ratios are what counts.
"""

import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import jaxpr_as_fun

from stepfit.rewrite import rewrite

TURNS = 5
SECONDS = 0.1  # at least, per turn


def conv(strides=1, padding="SAME", order="NHWC", **options):
    """Return a convolution of two arrays; `order` names the dimensions of its input."""
    space = order.replace("N", "").replace("C", "")
    kernel = "OI" + space if order.endswith(space) else space + "IO"

    def function(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            (strides,) * len(space),
            padding,
            dimension_numbers=(order, kernel, order),
            **options,
        )

    return function


def transposed(strides):
    """Return a transposed convolution of two arrays."""
    order = ("NHWC", "HWIO", "NHWC")
    return lambda x, w: lax.conv_transpose(x, w, (strides,) * 2, "SAME", dimension_numbers=order)


def pool(reducer, window, strides, padding="VALID"):
    """Return pooling over the two middle dimensions."""
    start = -np.inf if reducer is lax.max else 0.0
    return lambda x: lax.reduce_window(
        x, start, reducer, (1, window, window, 1), (1, strides, strides, 1), padding
    )


CASES = {  # name -> (function, shapes of its arguments[, dtype])
    "cnn 1 (28x28x1, 32)": (conv(padding="VALID"), (64, 28, 28, 1), (3, 3, 1, 32)),
    "cnn 2 (13x13x32, 64)": (conv(padding="VALID"), (64, 13, 13, 32), (3, 3, 32, 64)),
    "cnn pool 1": (pool(lax.max, 2, 2), (64, 26, 26, 32)),
    "cnn pool 2": (pool(lax.max, 2, 2), (64, 11, 11, 64)),
    "gan D1 strided": (conv(2), (128, 28, 28, 1), (3, 3, 1, 64)),
    "gan D2 strided": (conv(2), (128, 14, 14, 64), (3, 3, 64, 128)),
    "gan G1 transposed": (transposed(2), (64, 7, 7, 128), (4, 4, 128, 128)),
    "gan G2 transposed": (transposed(2), (16, 14, 14, 128), (4, 4, 128, 128)),
    "gan G3 7x7 to 1": (conv(), (16, 28, 28, 128), (7, 7, 128, 1)),
    "1D": (conv(order="NWC"), (16, 256, 32), (5, 32, 32)),
    "1D dilated": (conv(order="NWC", rhs_dilation=(4,)), (16, 256, 32), (5, 32, 32)),
    "3D": (conv(order="NDHWC"), (4, 12, 12, 12, 16), (3, 3, 3, 16, 16)),
    "dilated": (conv(rhs_dilation=(2, 2)), (16, 28, 28, 32), (3, 3, 32, 32)),
    "depthwise": (conv(feature_group_count=64), (16, 28, 28, 64), (3, 3, 1, 64)),
    "depthwise strided": (conv(2, feature_group_count=64), (16, 28, 28, 64), (3, 3, 1, 64)),
    "grouped 8 x 8": (conv(feature_group_count=8), (16, 28, 28, 64), (3, 3, 8, 64)),
    "grouped 32 x 4": (conv(feature_group_count=32), (16, 14, 14, 128), (3, 3, 4, 128)),
    "1x1": (conv(), (16, 28, 28, 64), (1, 1, 64, 64)),
    "1x1 strided": (conv(2), (16, 28, 28, 64), (1, 1, 64, 128)),
    "7x7 strided, 3 channels": (conv(2), (4, 64, 64, 3), (7, 7, 3, 64)),
    "patches 16x16": (conv(16), (4, 128, 128, 3), (16, 16, 3, 64)),
    "upsampling 2x2": (transposed(2), (8, 28, 28, 64), (2, 2, 64, 32)),
    "channels first": (conv(order="NCHW"), (16, 32, 28, 28), (32, 32, 3, 3)),
    "bfloat16": (conv(), (16, 28, 28, 32), (3, 3, 32, 32), "bfloat16"),
    "float16": (conv(), (16, 28, 28, 32), (3, 3, 32, 32), "float16"),
    "float64": (conv(), (16, 28, 28, 16), (3, 3, 16, 16), "float64"),
    "max pool 3, strides 2": (pool(lax.max, 3, 2, "SAME"), (16, 28, 28, 64)),
    "average pool 3, strides 1": (pool(lax.add, 3, 1, "SAME"), (16, 28, 28, 64)),
}


def step_of(function):
    """Return a function of arguments and a cotangent that makes the output and all gradients."""

    def step(cotangent, *args):
        output, pullback = jax.vjp(function, *args)
        return output, *pullback(cotangent)

    return step


def compiled(program, args, in_loop):
    """Return a function of the number of repetitions that runs a program so often."""
    call = jaxpr_as_fun(program)
    if not in_loop:
        run_once = jax.jit(call).lower(*args).compile()

        def run(n):
            for _ in range(n):
                result = run_once(*args)
            jax.block_until_ready(result)

        return run

    stacked = [jnp.stack([x, x]) for x in args]  # so that nothing can be moved out of the loop

    def loop(n, *stacked):
        def body(i, _):
            return call(*(lax.dynamic_index_in_dim(x, i % 2, keepdims=False) for x in stacked))

        start = [jnp.zeros(x.shape, x.dtype) for x in program.out_avals]
        return lax.fori_loop(0, n, body, start)

    run_loop = jax.jit(loop).lower(jnp.int32(1), *stacked).compile()
    return lambda n: jax.block_until_ready(run_loop(jnp.int32(n), *stacked))


def measure(runs):
    """Return the median milliseconds of each of some functions, run in turns."""
    counts, times = [], [[] for _ in runs]
    for run in runs:
        run(1)
        start = time.perf_counter()
        run(1)
        counts.append(max(1, int(SECONDS / (time.perf_counter() - start))))
    for _ in range(TURNS):
        for run, count, found in zip(runs, counts, times):
            start = time.perf_counter()
            run(count)
            found.append((time.perf_counter() - start) / count * 1e3)
    return [statistics.median(found) for found in times]


def main(wanted):
    """Print the table, or the rows whose names hold one of some texts."""
    columns = ("plain", "plain, loop", "rewritten", "rewritten, loop")
    print(f"{'ms':26}" + "".join(f"{name:>16}" for name in columns))
    random = np.random.default_rng(0)
    for name, (function, *shapes) in CASES.items():
        if wanted and not any(part in name for part in wanted):
            continue
        dtype = shapes.pop() if isinstance(shapes[-1], str) else "float32"
        with jax.enable_x64(dtype == "float64"):
            args = [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]
            output = jax.eval_shape(function, *args)
            args.insert(0, jnp.asarray(random.normal(size=output.shape), dtype))
            program = jax.make_jaxpr(step_of(function))(*args)
            better, report = rewrite(program, platform="cpu")
            runs = [compiled(p, args, in_loop) for p in (program, better) for in_loop in (0, 1)]
            figures = measure(runs)
        notes = "".join(f"  left: {what}" for what in report.left)
        print(f"{name:26}" + "".join(f"{ms:16.2f}" for ms in figures) + notes, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
