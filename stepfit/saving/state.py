"""The state below a model, to a list of groups of arrays, and from a source back.

Loading has two halves. First every array of the file is matched with a variable by path, and shapes
and dtypes are compared; nothing is read. Then values are read, and only when all are there, they
are assigned. An optimizer that has no state yet gets it in between, when the weights are known to
fit: its state is as large as they are.
"""

import bisect
import warnings
from collections.abc import Mapping

import numpy as np

from stepfit.core import dtypes, errors
from stepfit.saving.chosen import Chosen, below
from stepfit.saving.file_errors import shown, wrong
from stepfit.saving.report import LoadReport
from stepfit.saving.state_tree import places

_TRAINED = "stepfit_trained"  # positions, among the weights, of what an optimizer has state for
_MOST_TRAINED = 10_000  # an attribute has at most 64 kB


def collect(root):
    """Return ``[(path of a group, attributes, {name: array})]`` of everything below `root`."""
    groups = []
    for place in places(root):
        if not hasattr(place.object, "save_own_variables"):
            continue
        store: dict[str, object] = {}
        place.object.save_own_variables(store)
        arrays = {str(k): np.asarray(_plain(v)) for k, v in store.items()}
        for name, array in arrays.items():
            if array.dtype.kind in "OUS":
                raise wrong(
                    f"save_own_variables of {place.name!r}: {name!r}", "numbers",
                    f"dtype {array.dtype}", "write text in save_assets",
                )  # fmt: skip
        attributes: dict[str, object] = {"name": place.name} if place.name else {}
        attributes.update(_trained(root, place))
        if arrays or attributes:
            groups.append((_group(place.path), attributes, arrays))
    return groups


def _trained(root, place):
    """Return an attribute that says whose state an optimizer has, where not of what is trainable.

    That is so after layers were frozen without a new `compile`, and of further optimizers.
    """
    if not _is_optimizer(place.object) or not place.object.built:
        return {}
    known = [id(v) for v in place.object._trainable_variables]
    position = {id(v): i for i, v in enumerate(root.weights)}
    as_ever = place.path == "optimizer" and known == [id(v) for v in root.trainable_variables]
    if as_ever or not set(known) <= set(position) or len(known) > _MOST_TRAINED:
        return {}
    return {_TRAINED: np.array([position[i] for i in known], "int32")}


def _plain(value):
    return value.numpy() if hasattr(value, "numpy") else value


def _group(path):
    return f"{path}/vars" if path else "vars"


def load(
    root, source, skip_mismatch=False, skip=(), strict_optimizers=True, partial=False, prefix=None,
    made_by_compile=False,
):  # fmt: skip
    """Give the variables below `root` their values from a source.

    Args:
        root: a built model.
        source: see `sources`.
        skip_mismatch: whether objects whose arrays do not fit, or are missing, are left alone.
        skip: objects that are left alone, whatever the file has.
        partial: whether variables that the file has nothing for are left alone.
        strict_optimizers: whether optimizer state that does not fit is an error, not a warning.
        prefix: only variables below such a path get values, and no optimizer.
        made_by_compile: whether the file may have arrays below attributes that the model lacks,
            which its own `compile` would have made.

    Returns:
        `LoadReport`.

    Raises:
        FileError: something does not fit; nothing is changed then.
    """
    loading = _Loading(root, source, skip, strict_optimizers, partial)
    if prefix is not None:
        loading.only(prefix)
    if made_by_compile:
        held = {p.path.partition("/")[0] for p in loading.places}
        loading.used.update(k for k in loading.keys if k.partition("/")[0] not in held)
    return loading.run(skip_mismatch)


def load_optimizer(root, source):
    """Give the optimizer of a model its state; the source has nothing else."""
    loading = _Loading(root, source, (), strict_optimizers=True)
    for place in loading.places:
        if _is_optimizer(place.object):
            loading._match_optimizer(place)
    values = loading._read(loading.pairs)
    for (variable, _), value in zip(loading.pairs, values, strict=True):
        variable.assign(value)


class _Loading:
    def __init__(self, root, source, skip, strict_optimizers, partial=False):
        self.partial = partial
        self.root, self.source, self.strict_optimizers = root, source, strict_optimizers
        self.report = LoadReport()
        self.keys = sorted(source.entries)
        self.used: set[str] = set()
        self.pairs: list[tuple] = []  # (variable, key)
        self.own: list[tuple] = []  # (object with a loader of its own, store)
        skipped = {id(o) for o in skip}
        found = [p for p in places(root) if hasattr(p.object, "load_own_variables")]
        self.skipped = [p for p in found if id(p.object) in skipped]
        self.places = [p for p in found if id(p.object) not in skipped]
        self.chosen: Chosen | None = None  # None: everything

    def only(self, prefix):
        """Leave everything alone that is not below a path."""
        paths = [below(self.root, v.path) for v in self.root.weights]
        self.chosen = chosen = Chosen(prefix, paths, "load_weights(prefix)")
        left = [
            p for p in self.places if _is_optimizer(p.object) or not self._takes(p.object, chosen)
        ]
        self.places = [p for p in self.places if p not in left]
        self.skipped += left

    def _takes(self, obj, chosen):
        variables = obj._saved_variables() if hasattr(obj, "_saved_variables") else ()
        paths = [v.path for v in variables] or [getattr(obj, "path", None) or ""]
        return any(below(self.root, path) in chosen for path in paths)

    def run(self, skip_mismatch):
        for place in self.places:
            if not _is_optimizer(place.object):
                self._match(place)
        for place in self.skipped:
            self.used.update(self._under(place.path).values())
        optimizers = [p for p in self.places if _is_optimizer(p.object)]
        for place in optimizers:
            self.used.update(self._under(place.path).values())
        self.report.unexpected += [
            k for k in self.keys
            if self.chosen is None and k not in self.used and not k.startswith("optimizer/")
        ]  # fmt: skip
        if not skip_mismatch:
            self._check()
        values = self._read(self.pairs)
        weights, self.pairs = self.pairs, []
        if weights or not self.keys:
            for place in optimizers:
                self._match_optimizer(place)
        states = self._read(self.pairs)
        for obj, store in self.own:  # first: a loader of the user's may fail
            obj.load_own_variables(store)
        for (variable, _), value in zip([*weights, *self.pairs], [*values, *states], strict=True):
            variable.assign(value)
        if self.chosen is not None:
            paths = [v.path for v in self.root.weights]
            self.report.skipped = [p for p in paths if below(self.root, p) not in self.chosen]
        return self.report

    def _under(self, path):
        """Return ``{name: key}`` of the arrays of the group at a path."""
        prefix = _group(path) + "/"
        start = bisect.bisect_left(self.keys, prefix)
        found = {}
        for key in self.keys[start:]:
            if not key.startswith(prefix):
                break
            found[key.removeprefix(prefix)] = key
        return found

    def _match(self, place):
        obj, names = place.object, self._under(place.path)
        self.used.update(names.values())
        if not getattr(type(obj).load_own_variables, "by_number", False):
            self.own.append((obj, _Store(self.source, names)))
            return
        variables = obj._saved_variables()
        if not variables and not names:
            return
        pairs, before = [], len(self.report.mismatched) + len(self.report.missing)
        for i, variable in enumerate(variables):
            key = names.pop(str(i), None)
            if self.chosen is not None and below(self.root, variable.path) not in self.chosen:
                continue
            if key is None:
                self.report.missing.append(variable.path)
            elif self._fits(variable, key):
                pairs.append((variable, key))
        self.report.unexpected += names.values()
        if len(self.report.mismatched) + len(self.report.missing) == before and not names:
            self.pairs += pairs

    def _fits(self, variable, key, alike=()):
        entry = self.source.entries[key]
        shape, dtype = tuple(entry.shape), entry.dtype
        if shape != tuple(variable.shape):
            found = (f"shape {tuple(variable.shape)}", f"shape {shape}")
        elif dtype is None or not _alike(dtype, dtypes.jax_dtype(variable.dtype), alike):
            found = (f"dtype {variable.dtype}", "text" if dtype is None else f"dtype {dtype.name}")
        else:
            if dtype.name != variable.dtype:
                self.report.cast.append((variable.path, dtype.name, variable.dtype))
            return True
        self.report.mismatched.append((variable.path, *found))
        return False

    def _match_optimizer(self, place):
        optimizer, names = place.object, self._under(place.path)
        if not names:
            return
        if len(names) != len(optimizer._saved_variables()) and not optimizer.built:
            trained = self._trained(place.path)
            if trained is not None:
                optimizer.build(trained)
        if not getattr(type(optimizer).load_own_variables, "by_number", False):
            self.own.append((optimizer, _Store(self.source, names)))
            return
        variables = optimizer._saved_variables()
        left_out = [id(v) for v in optimizer._not_in_wrappers()] if optimizer.built else []
        if left_out and len(names) == len(variables) - len(left_out):
            variables = [v for v in variables if id(v) not in left_out]
        before = len(self.report.mismatched)
        pairs = [
            (v, names[str(i)]) for i, v in enumerate(variables)
            if str(i) in names and self._fits(v, names[str(i)], ("int", "float"))
        ]  # fmt: skip
        if len(pairs) == len(names) == len(variables) and getattr(optimizer, "_accumulates", False):
            self.own.append((optimizer, _Store(self.source, names)))
            return
        if len(pairs) == len(names) == len(variables):
            self.pairs += pairs
            return
        details = self.report.mismatched[before:]
        other_number = len(names) != len(variables)
        found = f"{len(names)}"
        if details and not other_number:
            found = f"{details[0][0]} of {details[0][2]}"
        fix = "compile with the optimizer that was saved, or load with compile=False"
        if self.strict_optimizers and other_number:
            fix = "call compile after layers are frozen or unfrozen, and before the model is saved"
        error = wrong(
            f"{self.source.place}: state of optimizer {place.name!r}",
            f"{len(variables)} arrays that fit its variables", found, fix,
        )  # fmt: skip
        if self.strict_optimizers and not other_number:  # of another number: no model is lost
            raise error
        del self.report.mismatched[before:]
        warnings.warn(f"{error} It was left as it is.", stacklevel=errors.users_level())

    def _trained(self, path):
        """Return the variables to build an optimizer for: those that the file has state for.

        Where it has none for some that are trainable now, they are those that are trainable: so the
        model can be trained on, with a new state. None for a further optimizer, where the file does
        not say.
        """
        group, main = _group(path), path == "optimizer"
        read = getattr(self.source, "attributes", None)
        positions, weights = read(group).get(_TRAINED) if read else None, self.root.weights
        if not isinstance(positions, np.ndarray) or positions.dtype.kind != "i":
            return self.root.trainable_variables if main else None
        wanted = positions.reshape(-1).tolist()
        if len(set(wanted)) != len(wanted) or not all(0 <= i < len(weights) for i in wanted):
            raise wrong(
                f"{self.source.place}: {group}: {_TRAINED!r}", "positions of weights, each once",
                "others",
            )  # fmt: skip
        found = [weights[i] for i in wanted]
        if not main:
            return found
        trainable = self.root.trainable_variables
        covered = {id(v) for v in trainable} <= {id(v) for v in found}
        return found if covered else trainable

    def _check(self):
        """Raise where something does not fit; the first finding is named, the others counted."""
        r = self.report
        place = self.source.place
        fix = "build the model that was saved, or pass skip_mismatch=True to load what fits"
        missing = [] if self.partial else r.missing
        count = len(missing) + len(r.unexpected) + len(r.mismatched)
        more = f" (and {count - 1} more that do not fit)" if count > 1 else ""
        if r.mismatched:
            path, expected, found = r.mismatched[0]
            raise wrong(f"{place}: {path!r}", expected, found + more, fix)
        if missing:
            raise wrong(f"{place}: {missing[0]!r}", "an array for it", "none" + more, fix)
        if r.unexpected:
            expected = "only arrays that the model has variables for"
            raise wrong(f"{place}: {shown(r.unexpected[0])}", expected, "this one" + more, fix)

    def _read(self, pairs):
        values = []
        for variable, key in pairs:
            value = self.source.read(key)
            if tuple(value.shape) != tuple(variable.shape):
                raise wrong(f"{self.source.place}: {key!r}", f"{variable.shape}", f"{value.shape}")
            wanted = dtypes.jax_dtype(variable.dtype)
            if value.dtype != wanted:
                cast = value.astype(wanted)
                # Placeholders of Keras's are whole numbers where stepfit's are floats.
                if _kind(value.dtype) != "float" and not np.array_equal(cast, value):
                    found = f"dtype {value.dtype} with values beyond that"
                    raise wrong(f"{self.source.place}: {key!r}", f"dtype {wanted.name}", found)
                value = cast
            if _kind(value.dtype) == "float" and not np.all(np.isfinite(value)):
                self.report.not_finite.append(variable.path)
            self.report.loaded.append(variable.path)
            values.append(value)
        return values


class _Store(Mapping):
    """What `load_own_variables` of a user's class is given: arrays by name, read when asked for."""

    def __init__(self, source, names):
        self._source, self._names = source, names

    def __getitem__(self, name):
        return self._source.read(self._names[name])

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)


def _is_optimizer(obj):
    # A model or a layer of the user's may have the method, and is none.
    return hasattr(obj, "apply_gradients") and "_trainable_variables" in vars(obj)


def _alike(found, wanted, also):
    kinds = _kind(found), _kind(np.dtype(wanted))
    return kinds[0] == kinds[1] or kinds == also


def _kind(dtype):
    if dtypes.is_float(dtype.name):
        return "float"
    return {"i": "int", "u": "int", "b": "bool", "c": "complex"}.get(dtype.kind, dtype.kind)
