"""Keras's public names and call signatures beside stepfit's.

``python -m tests.parity.names`` prints, module by module, what is missing and what is called in
another way, and marks what `docs/differences.md` gives no reason for.
"""

import fnmatch
import inspect
import os
import pathlib
import re
import types
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

import stepfit

PAGE = pathlib.Path(stepfit.__file__).parent.parent / "docs" / "differences.md"


def keras_modules():
    """Return the public modules of Keras: ``{"": keras, "ops": keras.ops, "ops.nn": ...}``."""
    found = {}

    def visit(path, module):
        found[path] = module
        for name, value in sorted(vars(module).items()):
            if not name.startswith("_") and isinstance(value, types.ModuleType):
                if re.match(r"keras\.(?!src)", value.__name__):
                    visit(f"{path}.{name}" if path else name, value)

    visit("", keras)
    return found


def public(module):
    """Return the public names of a module of Keras, modules left out."""
    return [
        name for name, value in sorted(vars(module).items())
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    ]  # fmt: skip


def ours(path):
    """Return what stands in stepfit under a dotted path, or None."""
    found = stepfit
    for part in filter(None, path.split(".")):
        found = getattr(found, part, None)
    return found


def signature(obj):
    """Return the arguments of a function or constructor as text, or None where there is none.

    ``*args`` and ``**kwargs`` are left out: they stand for what a base class takes.
    """
    if not callable(obj):
        return None
    try:
        parameters = inspect.signature(obj).parameters.values()
    except (ValueError, TypeError):
        return None
    shown = []
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        shown.append(p.name if p.default is p.empty else f"{p.name}={_shown(p.default)}")
    return ", ".join(shown)


def _shown(default):
    if isinstance(default, (tuple, list)) and default and all(d == default[0] for d in default):
        return _shown(default[0])  # (2, 2) is meant by 2, too
    if isinstance(default, float) and default == int(default):
        return repr(int(default))
    if callable(default):
        return getattr(default, "__name__", "a function")
    if isinstance(default, (str, int, float, bool, type(None), tuple, list, dict)):
        return repr(list(default) if isinstance(default, tuple) else default)
    return f"<{type(default).__name__}>"


def missing():
    """Return the dotted names that Keras has and stepfit has not."""
    return [
        f"{path}.{name}".lstrip(".")
        for path, module in keras_modules().items()
        for name in public(module)
        if getattr(ours(path), name, None) is None
    ]


def differing():
    """Return ``{dotted name: (Keras's arguments, stepfit's)}`` where they are not the same."""
    found, seen = {}, set()
    for path, module in keras_modules().items():
        for name in public(module):
            theirs, own = getattr(module, name), getattr(ours(path), name, None)
            if own is None or id(theirs) in seen:
                continue
            pair = signature(theirs), signature(own)
            if pair[0] != pair[1]:
                seen.add(id(theirs))  # a thing with several names is told of once
                found[f"{path}.{name}".lstrip(".")] = pair
    return found


def missing_methods():
    """Return ``Class.method`` for the public methods of Keras's classes that stepfit's lack."""
    found = set()
    for path, module in keras_modules().items():
        for name in public(module):
            theirs, own = getattr(module, name), getattr(ours(path), name, None)
            if not inspect.isclass(theirs) or not inspect.isclass(own):
                continue
            for base in theirs.__mro__:
                if base.__module__.partition(".")[0] == "keras":
                    found |= {
                        f"{base.__name__}.{method}" for method, value in vars(base).items()
                        if not method.startswith("_") and callable(value)
                        and not hasattr(own, method)
                    }  # fmt: skip
    return sorted(found)


def documented(heading):
    """Return the names (and patterns such as ``applications.*``) in the tables below a heading."""
    text = PAGE.read_text()
    (part,) = re.findall(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    rows = re.findall(r"^\| (`.*?) \|", part, re.M)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def unexplained(names, rows):
    """Return the names that no row stands for, and the rows that stand for no name."""
    names = list(names)
    hits = {row: fnmatch.filter(names, row) for row in rows}
    known = {name for found in hits.values() for name in found}
    return [n for n in names if n not in known], [row for row, found in hits.items() if not found]


def table():
    """Return the lines of the table."""
    gone, other = missing(), differing()
    bare = set(unexplained(gone, documented("Missing"))[0])
    bare_signatures = set(unexplained(other, documented("Signatures"))[0])
    lines = []
    for path, module in keras_modules().items():
        names, prefix = public(module), f"{path}." if path else ""
        absent = [n for n in names if prefix + n in gone]
        lines.append(f"{path or 'keras'}: {len(names) - len(absent)} of {len(names)} names")
        lines += [f"  - {n}{' (no reason given)' * (prefix + n in bare)}" for n in absent]
        for name in names:
            if prefix + name in other:
                theirs, own = other[prefix + name]
                note = " (no reason given)" * (prefix + name in bare_signatures)
                lines += [f"  ~ {name}{note}", f"      Keras:   {theirs}", f"      stepfit: {own}"]
    absent = missing_methods()
    bare = set(unexplained(absent, documented("Methods"))[0])
    lines.append("methods")
    return lines + [f"  - {name}{' (no reason given)' * (name in bare)}" for name in absent]


if __name__ == "__main__":
    print("\n".join(table()))
