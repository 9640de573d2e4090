"""The private names of JAX that stepfit uses: all of them, and only here.

Vocabulary
----------
*Trace*: what JAX does with a primitive when one is bound: run it, stage it out, batch it... One
trace is current at a time, per thread. A trace made inside another keeps the outer one as its
*parent* and hands primitives on to it.

*RecordingTrace*: the trace that a gradient tape makes current. It has no tracers of its own: values
stay those of the parent, so nothing of it can leak. Each primitive goes to the tape's recorder as a
*call*, a function from the primitive's arguments to the list of its results in the parent trace.

*Pullback*: what `differentiate` keeps of one call: how cotangents of its results become cotangents
of its arguments. ``None`` stands for a cotangent that is zero and was never computed.

*Captured value*: a concrete array that a jitted function took from its surroundings. JAX keeps it
inside the staged program, where a recorder does not see it; `inline` evaluates such a program
equation by equation, so that the captured value becomes an ordinary argument.

Written for JAX 0.10 to 0.12. What differs between them: in 0.12 ``ClosedJaxpr`` and ``Jaxpr`` are
one class, the operands of a scan are grouped in ``ft_in``, and ``process_call`` and ``cur_qdd`` are
gone.
"""

import dataclasses
import functools
import itertools
import weakref
from typing import Any

import jax
import jax.numpy as jnp
from jax._src import compilation_cache as _compilation_cache
from jax._src import core, source_info_util
from jax._src.interpreters import ad, partial_eval
from jax._src.state.types import AbstractRef

from stepfit.core.errors import StepfitRuntimeError, describe, message


def current_trace():
    """Return the trace that is current in this thread."""
    return core.trace_ctx.trace


def set_trace(trace):
    """Make `trace` current in this thread; the caller restores the one before."""
    core.trace_ctx.set_trace(trace)


def using_trace(trace):
    """Return a context manager inside which `trace` is current."""
    return core.set_current_trace(trace)


def at_top_level():
    """Say whether operations at this point are run at once, by no trace."""
    return core.trace_state_clean()


def is_tracer_of(value, trace):
    """Say whether `value` is a tracer that belongs to `trace` itself."""
    return isinstance(value, core.Tracer) and value._trace is trace


def under_trace():
    """Say whether operations are being staged out (by jit, scan, eval_shape, ...) at this point."""
    return isinstance(jnp.zeros(()) + 0, core.Tracer)


def in_trace_of(value):
    """Say whether operations at this point are staged where `value` was: not in a loop's body."""
    probe = jnp.zeros(()) + 0
    if not isinstance(probe, core.Tracer):
        return True
    return isinstance(value, core.Tracer) and probe._trace is value._trace


def lives_with(value, other):
    """Say whether `value` is usable wherever `other` is: an array, or a tracer of its trace."""
    if not isinstance(value, core.Tracer):
        return True
    return isinstance(other, core.Tracer) and value._trace is other._trace


def calls_back(jaxpr):
    """Say whether a staged program calls Python while it runs, and so may raise half-way."""
    for equation in jaxpr.eqns:
        if "callback" in equation.primitive.name:
            return True
        for parameter in jax.tree.leaves(list(equation.params.values()), is_leaf=_program):
            if _program(parameter) and calls_back(getattr(parameter, "jaxpr", parameter)):
                return True
    return False


def _program(x):
    return hasattr(x, "eqns")


def use_compilation_cache(cache, directory):
    """Have JAX look for compiled programs in `cache`, an object with `get` and `put`.

    Args:
        cache: None: the one that JAX makes itself for the directory.
        directory: string, JAX's setting; None: without a cache nothing is kept.
    """
    _compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", directory)
    if cache is not None:
        _compilation_cache._cache = cache
        _compilation_cache._cache_initialized = True


class RecordingTrace(core.Trace):
    """Evaluate everything in the parent trace, by way of a recorder.

    Args:
        parent: the trace that was current so far.
        recorder: an object with ``evaluate(call, args, custom)``, which returns the results of
            ``call(*args)`` (`custom`: the call has a derivative rule given by the user), and with
            ``tracks(value)``, which says whether derivatives flow through that value.
    """

    def __init__(self, parent, recorder):
        super().__init__()
        self.parent = parent
        self.recorder = recorder
        self.requires_low = False  # as in JAX's own differentiating traces

    def _evaluate(self, call, args, custom=False):
        with using_trace(self.parent):
            return self.recorder.evaluate(call, args, custom)

    def process_primitive(self, primitive, args, params, /):
        self._refuse_mutable_arrays(primitive, args)
        if any(map(self.recorder.tracks, _captured_in(params))):
            with using_trace(self):
                results = inline(primitive, args, params, self.recorder.tracks)
            return results if primitive.multiple_results else results[0]
        if primitive.multiple_results:
            return self._evaluate(lambda *xs: primitive.bind(*xs, **params), args)
        return self._evaluate(lambda *xs: [primitive.bind(*xs, **params)], args)[0]

    def _refuse_mutable_arrays(self, primitive, args):
        """Raise where a tracked value would go into a Ref: what comes out of it is not tracked."""
        tracked = [x for x in args if self.recorder.tracks(x)]
        if tracked and (
            primitive.ref_allocating or any(isinstance(core.typeof(x), AbstractRef) for x in args)
        ):
            raise StepfitRuntimeError(
                message(
                    f"GradientTape, in the primitive {primitive.name}",
                    "only constants in a mutable array (jax.Ref)",
                    f"a watched value, {describe(tracked[0])}",
                    "use x.at[...].set(...), or move all uses of the Ref into one jax.jit function",
                )
            )

    def process_custom_jvp_call(self, primitive, fun, jvp, args, /, **params):
        params["subfuns"] = (fun, jvp)
        return self._custom_call(primitive, args, params)

    def process_custom_vjp_call(self, primitive, fun, fwd, bwd, args, /, **params):
        params["subfuns"] = (fun, fwd, bwd)
        return self._custom_call(primitive, args, params)

    def _custom_call(self, primitive, args, params):
        guard = _CaptureGuard(self.recorder, args, primitive)
        with using_trace(_GuardTrace(self.parent, guard)):
            return self.recorder.evaluate(lambda *xs: primitive.bind(*xs, **params), args, True)

    def process_call(self, primitive, fun, args, params, /):
        return self._evaluate(lambda *xs: primitive.bind(*xs, subfuns=(fun,), **params), args)

    def process_shard_map(self, primitive, fun, args, /, **params):
        shape_of_results = []

        def call(*xs):
            results = primitive.bind(*xs, subfuns=(fun,), **params)
            shape_of_results.append(results)
            return list(results)

        results = self._evaluate(call, args)
        return shape_of_results[-1].update(results)

    def stage_value(self, value):
        return self._evaluate(lambda x: [current_trace().stage_value(x)], [value])[0]

    def cur_qdd(self, value):
        with using_trace(self.parent):
            return self.parent.cur_qdd(value)


class _GuardTrace(RecordingTrace):
    """The trace of a `_CaptureGuard`: custom calls go straight to the parent, which keeps rules."""

    def _custom_call(self, primitive, args, params):
        with using_trace(self.parent):
            return primitive.bind(*args, **params)


class _CaptureGuard:
    """A recorder that only checks: a custom rule may use no tracked value but its arguments.

    JAX never sees a derivative towards a value that such a function captured, so it would be lost
    without a word.
    """

    def __init__(self, recorder, args, primitive):
        self.recorder = recorder
        self.allowed = {id(x) for x in args}
        self.primitive = primitive

    def tracks(self, value):
        return self.recorder.tracks(value) and id(value) not in self.allowed

    def evaluate(self, call, args, custom):
        for x in args:
            if self.tracks(x):
                raise StepfitRuntimeError(
                    message(
                        f"GradientTape, in a {self.primitive.name.removesuffix('_call')} function",
                        "a function that differentiates only its arguments",
                        f"a watched value that it captured, {describe(x)}",
                        "pass that value as an argument, or use jax.lax.stop_gradient on it before",
                    )
                )
        return call(*args)


def differentiate(call, args, slots):
    """Evaluate a call once, and keep how to pull cotangents back through it.

    Args:
        call: function from `args` to a list of results.
        args: the arguments.
        slots: the positions in `args` towards which to differentiate.

    Returns:
        ``(results, live, pullback)``: the list of results, for each whether it depends
        differentiably on the slots, and a `Pullback`.
    """

    def apply(*values):
        full = list(args)
        for slot, value in zip(slots, values):
            full[slot] = value
        return call(*full)

    results, vjp = jax.vjp(apply, *[args[slot] for slot in slots])
    pullback = Pullback(vjp, [args[slot] for slot in slots], results)
    return list(results), pullback.live, pullback


class Pullback:
    """Pull cotangents of one call's results back to its arguments.

    Args:
        vjp: the function that `jax.vjp` gave.
        args: the arguments it differentiates.
        results: the results of the call.
    """

    __slots__ = ("args", "live", "results", "vjp")

    def __init__(self, vjp, args, results):
        self.vjp = vjp
        self.live = [not zero for zero in vjp.fun.args[1]]
        self.args = [core.typeof(x).to_ct_aval() for x in args]
        self.results = [core.typeof(x).to_ct_aval() for x in results]

    def __call__(self, cotangents, wanted):
        """Return the cotangents of the arguments; None for those not wanted, and for zeros."""
        given = [ct is not None for ct in cotangents]
        vjp = self.vjp if given == self.live else self._restricted_to(given)
        cotangents = [
            ad.Zero(aval) if ct is None else ct for ct, aval in zip(cotangents, self.results)
        ]
        sums: list = [
            ad.ValAccum(aval) if want else ad.NullAccum(aval)
            for aval, want in zip(self.args, wanted)
        ]
        vjp.with_refs(*sums)(cotangents)
        return [
            None if not want or isinstance(total.val, ad.Zero) else total.val
            for total, want in zip(sums, wanted)
        ]

    def _restricted_to(self, given):
        """Return the vjp less what only the other results need, as if they never existed.

        This is what jax.grad does to a whole program: it keeps the rows that a scan collects and
        nobody uses, for one, out of the scan that runs backwards.
        """
        spec, zeros, program, *rest = self.vjp.fun.args
        keep = [g for g, zero in zip(given, zeros) if not zero]
        program, _ = partial_eval.dce_jaxpr(program, keep, instantiate=True)
        zeros = [zero or not g for g, zero in zip(given, zeros)]
        fun = functools.partial(self.vjp.fun.func, spec, zeros, program, *rest)
        return dataclasses.replace(self.vjp, fun=fun)


_PROGRAM_TYPES = (core.Jaxpr, getattr(core, "ClosedJaxpr", core.Jaxpr))
_captured: Any = weakref.WeakKeyDictionary()  # program -> captured values, at any depth


def programs_in(params):
    """Return an iterator over the programs among the parameters of an equation."""
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, _PROGRAM_TYPES):
                yield item


def _captured_in(params):
    return itertools.chain.from_iterable(map(_captured_by, programs_in(params)))


def _captured_by(program):
    known = _captured.get(program)
    if known is None:
        found = {id(x): x for x in getattr(program, "consts", ()) if isinstance(x, jax.Array)}
        for equation in program.eqns:
            found.update((id(x), x) for x in _captured_in(equation.params))
        known = _captured[program] = tuple(found.values())
    return known


def inline(primitive, args, params, tracks):
    """Evaluate a primitive that carries programs, with captured tracked values made visible.

    Args:
        primitive: the primitive (a call or a control-flow primitive).
        args: its arguments.
        params: its parameters.
        tracks: function that says whether a captured value has to become visible.

    Returns:
        The list of results.

    Raises:
        StepfitRuntimeError: if the primitive is none of those known here.
    """

    def function(program):
        return lambda *xs: _evaluate_inlined(program, xs, tracks)

    name = primitive.name
    if name in ("jit", "pjit", "closed_call", "core_call"):
        program = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        return function(program)(*args)
    if name in ("checkpoint", "remat2", "remat"):
        keep = {key: params[key] for key in ("prevent_cse", "policy")}
        return list(jax.checkpoint(function(params["jaxpr"]), **keep)(*args))
    if name == "cond":
        branches = [function(branch) for branch in params["branches"]]
        return list(jax.lax.switch(args[0], branches, *args[1:]))
    if name == "while":
        ncond, nbody = params["cond_nconsts"], params["body_nconsts"]
        for_cond, for_body, start = args[:ncond], args[ncond:][:nbody], args[ncond + nbody :]
        test, body = function(params["cond_jaxpr"]), function(params["body_jaxpr"])
        return list(
            jax.lax.while_loop(
                lambda carry: test(*for_cond, *carry)[0],
                lambda carry: body(*for_body, *carry),
                list(start),
            )
        )
    if name == "scan":
        nconsts, ncarry = scan_counts(params)
        consts, start, rows = args[:nconsts], args[nconsts:][:ncarry], args[nconsts + ncarry :]
        body = function(params["jaxpr"])

        def step(carry, row):
            results = body(*consts, *carry, *row)
            return results[:ncarry], results[ncarry:]

        keep = {key: params[key] for key in ("length", "reverse", "unroll")}
        carry, stacked = jax.lax.scan(step, list(start), list(rows), **keep)
        return [*carry, *stacked]
    raise StepfitRuntimeError(
        message(
            f"GradientTape, in the primitive {name}",
            "a function that captures no watched value",
            "a captured one",
            "pass that value as an argument",
        )
    )


def scan_counts(params):
    """Return how many of a scan's operands are constants, and how many are carried."""
    if "ft_in" in params:
        consts, carry, _ = params["ft_in"].unpack()
        return len(consts), len(carry)
    return params["num_consts"], params["num_carry"]


def _evaluate_inlined(program, args, tracks):
    values: dict = {}
    program_consts = getattr(program, "consts", ())
    body = getattr(program, "jaxpr", program)

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    values.update(zip((*body.constvars, *body.invars), (*program_consts, *args)))
    for equation in body.eqns:
        primitive, inputs = equation.primitive, [read(x) for x in equation.invars]
        if any(map(tracks, _captured_in(equation.params))):
            with equation.ctx.manager:
                results = inline(primitive, inputs, equation.params, tracks)
        else:
            results = evaluate(equation, inputs)
        values.update(zip(equation.outvars, results))
    return [read(x) for x in body.outvars]


def evaluate(equation, inputs):
    """Return the list of results of one equation of a staged program."""
    primitive = equation.primitive
    with equation.ctx.manager:
        results = primitive.bind(*inputs, **primitive.get_bind_params(equation.params))
    return list(results) if primitive.multiple_results else [results]


def scopes_of(equation):
    """Return ``(names, transposed)``: the name scopes an equation was staged in, and whether it
    came from transposing a program, as in a backward pass."""
    stack = equation.source_info.name_stack.stack
    names = tuple(item.name for item in stack if type(item) is source_info_util.Scope)
    kinds = (item.name for item in stack if type(item) is source_info_util.Transform)
    return names, "transpose" in kinds


def frames_of(equation):
    """Return ``(file, line, function)`` of the calls that staged an equation, innermost first,
    without JAX's own."""
    frames = source_info_util.user_frames(equation.source_info.traceback)
    return ((frame.file_name, frame.start_line, frame.function_name) for frame in frames)


def coordination():
    """Return ``(client, number, count)``: the client of the service that several processes talk
    through (None without one), this process's number, how many there are. Starts no backend."""
    from jax._src import distributed

    state = distributed.global_state
    return state.client, state.process_id or 0, state.num_processes or 1
