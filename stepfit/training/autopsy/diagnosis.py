"""From a step that went wrong to an `Autopsy`: whose fault, which layer, what to do."""

import linecache
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import stepfit
from stepfit.core import jax_private
from stepfit.training.autopsy.flat import Flat
from stepfit.training.autopsy.journal import WEIGHTS
from stepfit.training.autopsy.origin import Trail
from stepfit.training.autopsy.report import Autopsy
from stepfit.training.program import Traced

_PACKAGE = str(pathlib.Path(stepfit.__file__).parent) + os.sep
_STEP = str(pathlib.Path("training", "step.py"))  # whoever called that is no part of the step
_ROWS = 5  # so many are named

_RATE = "lower the learning rate, pass clipnorm=1.0 to the optimizer, or scale the inputs"
_APART = "keep that number away from 0, for example by adding keras.config.epsilon()"
_DATA = "remove or repair these samples; numpy.isfinite finds them"
_INDEX = "check the indices against the size of the table"
_MASK = "mask with a large finite number, or leave out rows that are masked as a whole"
_HALF = "use mixed_bfloat16, or keras.optimizers.LossScaleOptimizer"
_AGAIN = "load or make the weights anew"


def examine(step, watched, samples=None):
    """Return the `Autopsy` of a `BadStep`.

    Args:
        step: it.
        watched: function of logs that returns the names of those that have to be finite.
        samples: function of row numbers of the batch that returns where they are in the arrays
            that batches are cut from, or None.
    """
    told = {"epoch": step.epoch, "batch": step.number, "log": None, "value": None}
    if not step.again:
        detail = "no step went wrong when they were run again"
        return Autopsy(**told, cause="unknown", detail=detail)
    for name in watched(step.logs or {}):
        if not np.isfinite(step.logs[name]):
            told.update(log=name, value=float(step.logs[name]))
            break
    try:
        return _Examination(step, told, samples).autopsy()
    except Exception as e:  # an autopsy must not hide what it is about
        detail = f"the step could not be looked into ({type(e).__name__}: {str(e)[:200]})"
        return Autopsy(**told, cause="unknown", detail=detail)


class _Examination:
    def __init__(self, step, told, samples):
        self._step, self._told, self._samples = step, told, samples
        self._layout = step.traced.layout
        self._variables = self._layout.variables
        batch = step.batch
        self._rows_of_batch = batch[0].shape[0] if batch and batch[0].ndim else None
        self._args = [*step.values, step.key, *batch]
        self._traced = step.traced
        if not isinstance(step.traced, Traced):  # it ran without being compiled
            self._traced = Traced(step.traced, step.values, step.structure, batch)

    def autopsy(self):
        trail = Trail(Flat(self._traced.original), self._args)
        output = self._output(trail.bad_outputs())
        if output is None:
            detail = "it did not come again when the step was taken apart"
            return Autopsy(**self._told, cause="unknown", detail=detail, fix=_RATE)
        origin = trail.origin(output)
        number = origin.input
        if number is None:
            return self._operation(origin)
        if number < len(self._variables):
            return self._autopsy(origin, "weights", place=self._path(number), fix=_AGAIN)
        return self._data(origin, number - len(self._variables) - 1)

    def _output(self, bad):
        """Return the output to begin with: the log, or the first weight that went bad."""
        logs = len(self._traced.log_specs)
        names = self._traced.log_structure.unflatten(range(logs))
        if self._told["log"] is not None:
            wanted = [names[self._told["log"]]]
        else:
            places = [self._layout.place.get(id(v), ("", 0))[0] for v in self._variables]
            order = sorted(range(len(places)), key=lambda i: places[i] != WEIGHTS[0])
            wanted = [logs + i for i in order if places[i] in WEIGHTS]
        return next((k for k in wanted if k in bad), None)

    # -- the three kinds of cause ----------------------------------------------------------------

    def _data(self, origin, index):
        batch = self._args[len(self._variables) + 1 + index]
        return self._autopsy(
            origin, "data", place=self._input(index), rows=self._bad_rows(batch), fix=_DATA
        )

    def _operation(self, origin):
        backward = origin.backward or self._told["log"] is None
        updating = any(name.startswith("optimizer.") for name in origin.scopes)
        cause = "update" if updating else "gradient" if backward else "forward"
        name = origin.op.name
        rows = self._bad_rows(*origin.results)
        if name == "gather":
            index = self._indices(origin)
            detail = "an index is outside of the table that it selects from"
            if index is not None:
                return self._autopsy(origin, "data", place=self._input(index), rows=rows,
                                     detail=detail, fix=_INDEX)  # fmt: skip
            return self._autopsy(origin, cause, rows=rows, detail=detail, fix=_INDEX)
        detail, fix = _explained(name, origin, cause)
        large = self._largest_weight()
        if fix == _RATE and large:
            detail = f"{detail}; {large}"
        return self._autopsy(origin, cause, rows=rows, detail=detail, fix=fix)

    def _autopsy(self, origin, cause, rows=(), **more):
        if origin.op is not None:
            more["operation"] = origin.op.name
            names = (name for name in origin.scopes if "->" not in name)  # that einsum gives
            more["layer"] = "/".join(names) or None
            more["source"] = _source(origin.op.site)
        samples: tuple[int, ...] = ()
        if rows and self._samples is not None:
            samples = tuple(int(i) for i in self._samples(list(rows)))
        return Autopsy(**self._told, cause=cause, rows=rows, samples=samples, **more)

    # -- what can be said of them ----------------------------------------------------------------

    def _path(self, number):
        return repr(self._variables[number].path)

    def _input(self, index):
        """Return the user's name for a leaf of the batch."""
        structure = self._step.structure
        tree = structure.unflatten(range(structure.num_leaves))
        path = jax.tree_util.tree_flatten_with_path(tree)[0][index][0]
        plain = isinstance(tree, tuple) and not hasattr(tree, "_fields") and len(tree) <= 3
        if not plain:
            return f"data{jax.tree_util.keystr(path)}"
        return f"{('x', 'y', 'sample_weight')[path[0].idx]}{jax.tree_util.keystr(path[1:])}"

    def _indices(self, origin):
        """Return the number of the batch's leaf that a gather's indices are, if they are one."""
        leaves = self._args[len(self._variables) + 1 :]
        whole = [i for i, x in enumerate(leaves) if not jnp.issubdtype(x.dtype, jnp.inexact)]
        indices = np.asarray(origin.operands[1]).reshape(-1)
        same = (i for i in whole if np.array_equal(np.asarray(leaves[i]).reshape(-1), indices))
        return next(same, whole[0] if len(whole) == 1 else None)

    def _bad_rows(self, *arrays):
        """Return the first rows of the batch in which an array of batch size is not finite."""
        for x in arrays:
            if x.ndim and x.shape[0] == self._rows_of_batch and _is_float(x):
                fine = np.asarray(jnp.isfinite(x)).reshape(x.shape[0], -1)
                bad = np.atleast_1d(~fine.all(axis=1))
                if bad.any() and (not bad.all() or len(bad) == 1):
                    return tuple(int(i) for i in np.flatnonzero(bad)[:_ROWS])
        return ()

    def _largest_weight(self):
        """Say how large the largest weight is, if it is large."""
        sizes = [
            (float(jnp.max(jnp.abs(value))), i)
            for i, value in enumerate(self._step.values)
            if self._layout.place.get(id(self._variables[i]), ("", 0))[0] == WEIGHTS[0]
            and value.size
        ]
        size, index = max(sizes, default=(0.0, 0))
        return f"{self._path(index)} holds weights up to {size:.1e}" if size > 1e4 else ""


def _explained(name, origin, cause):
    """Return what there is to say of an operation's operands, and what to do."""
    if origin.made_of_infinity:
        return "an infinity written in the model went in, as masks have it", _MASK
    operands = [x for x in origin.operands if _is_float(x)]
    least = [float(jnp.min(x)) if x.size else 1.0 for x in operands]
    largest = max((float(jnp.max(jnp.abs(x))) for x in operands if x.size), default=0.0)
    if name in ("log", "sqrt", "rsqrt", "log1p", "pow") and least and least[0] < -(name == "log1p"):
        return "a negative number went in", _APART.replace("that number away from 0", "it above 0")
    zero = any(bool(jnp.any(x == -(name == "log1p"))) for x in operands[-1:])
    if name == "pow" and operands:
        zero = bool(jnp.any(operands[0] == 0))
    if name in ("log", "rsqrt", "log1p", "pow", "integer_pow") and zero:
        return "0 went in" if name != "log1p" else "-1 went in", _APART
    if name == "div" and zero:
        if cause == "gradient":
            return "the derivative of an operation is infinite at 0", _APART
        return "a division by 0", _APART
    if any(x.dtype == jnp.float16 for x in (*operands, *origin.results)):
        return f"float16 ends at 65504, and numbers up to {largest:.1e} went in", _HALF
    return f"numbers up to {largest:.1e} went in, and the result was too large", _RATE


def _is_float(x):
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _source(equation):
    """Return "file:line: code" of the innermost line of the user's step that staged an equation."""
    for file, line, _ in jax_private.frames_of(equation):
        if file.startswith(_PACKAGE):
            if file.endswith(_STEP):
                return None
            continue
        code = linecache.getline(file, line).strip()
        return f"{file}:{line}: {code}" if code else f"{file}:{line}"
    return None
