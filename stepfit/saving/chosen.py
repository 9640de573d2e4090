"""A part of a model, by the start of its variables' paths."""

from stepfit.core import errors


def below(model, path):
    """Return a variable's path below a model: without the model's own, where it begins with it."""
    own = getattr(model, "path", None) or getattr(model, "name", "")
    return path.removeprefix(f"{own}/") if own else path


class Chosen:
    """The paths that begin with one of some prefixes, in whole parts.

    Args:
        prefix: text, a list of them, or None for everything.
        paths: those that there are.
        where: the argument, for errors.

    Raises:
        ValueError: no path begins so. TypeError: no text.
    """

    def __init__(self, prefix, paths, where):
        given = [prefix] if isinstance(prefix, str) else prefix
        if given is not None:
            texts = isinstance(given, (list, tuple)) and all(isinstance(p, str) for p in given)
            if not texts or not given:
                raise errors.bad_type(where, "text, or a list of texts", prefix)
        self._starts = None if given is None else [p.strip("/") for p in given]
        for start in self._starts or ():
            check_start(start, paths, where)

    def __contains__(self, path):
        return self._starts is None or any(_begins(path, s) for s in self._starts)


def check_start(start, paths, where):
    """Raise, with the nearest part, where no path begins with `start`."""
    if not any(_begins(path, start) for path in paths):
        parts = [p.split("/") for p in paths]
        known = {"/".join(p[: i + 1]) for p in parts for i in range(len(p))}
        raise errors.unknown_name(where, "part", start, known)


def _begins(path, start):
    return path == start or path.startswith(f"{start}/") or not start
