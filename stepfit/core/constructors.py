"""Calls of constructors that cannot work: the argument is named before Python gives up on them."""

import functools
import inspect

from stepfit.core import errors

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Signature:
    """What the constructor of a class takes, and the constructors that it hands keywords on to."""

    def __init__(self, cls):
        parameters = _parameters(cls)
        kinds = {p.kind for p in parameters}
        named = [p for p in parameters if p.kind not in _STARRED]
        self.takes_any = inspect.Parameter.VAR_KEYWORD in kinds
        self.by_position = [p.name for p in named if p.kind in _BY_POSITION]
        self.most = None if inspect.Parameter.VAR_POSITIONAL in kinds else len(self.by_position)
        self.names = {p.name for p in named}
        self.needed = [p.name for p in named if p.default is p.empty]
        self.known = [p.name for p in named]
        for base in cls.__mro__[1:] if self.takes_any else ():
            if "__init__" in vars(base):
                parameters = _parameters(base)
                self.known += [p.name for p in parameters if p.kind not in _STARRED]
                if all(p.kind is not p.VAR_KEYWORD for p in parameters):
                    break


class SignatureOfInit:
    """The ``__signature__`` of classes whose `__new__` takes anything: that of their `__init__`.

    Some versions of Python ask an inherited `__new__` before an inherited `__init__`.
    """

    def __get__(self, instance, cls):
        if instance is not None:  # which is called in another way
            raise AttributeError("__signature__")
        whole = inspect.signature(cls.__init__)
        return whole.replace(parameters=list(whole.parameters.values())[1:])


def _parameters(cls):
    try:
        return list(inspect.signature(cls.__init__).parameters.values())[1:]
    except (TypeError, ValueError):  # `object.__init__` and the like
        return []


_signature = functools.lru_cache(maxsize=512)(_Signature)


def check(cls, args, kwargs):
    """Raise where ``cls(*args, **kwargs)`` is sure to fail, naming the argument at fault.

    Raises:
        StepfitArgumentError: a ValueError and a TypeError.

    >>> import stepfit as keras
    >>> keras.layers.MultiHeadAttention(heads=2, key_dim=4)
    Traceback (most recent call last):
    ...
    stepfit.core.errors.StepfitArgumentError: MultiHeadAttention(...): expected the name of an \
argument, found 'heads'; did you mean 'num_heads'?
    """
    signature = _signature(cls)
    given = {*signature.by_position[: len(args)], *kwargs}
    missing = [name for name in signature.needed if name not in given]
    unknown = [name for name in kwargs if name not in signature.names]
    where = f"{cls.__name__}(...)"
    if unknown and (missing or not signature.takes_any):
        strange = [name for name in unknown if name not in signature.known]
        if strange:
            raise errors.unknown_argument(where, strange[0], signature.known)
    if missing:
        raise _error(where, f"the argument {missing[0]!r}", "none", f"pass {missing[0]}=...")
    if signature.most is not None and len(args) > signature.most:
        names = ", ".join(signature.by_position) or "none"
        fix = "pass the others by name" if signature.takes_any else "leave the others out"
        raise _error(where, f"at most {signature.most} arguments by position ({names})",
                     f"{len(args)}", fix)  # fmt: skip


def known(cls):
    """Return the names of all arguments that a class takes, those handed on included."""
    return _signature(cls).known


def _error(where, expected, found, fix):
    return errors.StepfitArgumentError(errors.message(where, expected, found, fix))
