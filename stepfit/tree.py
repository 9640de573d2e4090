"""Nested structures: lists, tuples, named tuples, deques and dicts of leaves.

Everything else is a leaf: None, arrays, Variables, symbolic tensors, and what JAX would flatten.
Dicts are gone through in the order of their sorted keys (an `OrderedDict` in its own), so two dicts
with the same keys match; `dict`, `OrderedDict` and `defaultdict` match each other.
"""

import collections
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from stepfit.core import errors
from stepfit.core.symbolic import sorted_keys

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path",
    "is_nested", "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to",
    "pack_sequence_as", "traverse",
]  # fmt: skip

T = TypeVar("T")
_SEQUENCES = (list, tuple, collections.deque)
_DICTS = (dict, collections.OrderedDict, collections.defaultdict)
_DIFFERENT = "compare them with assert_same_paths where list and tuple may stand for each other"


class MAP_TO_NONE:
    """What a function given to `traverse` returns for "put None here"."""


def is_nested(structure: Any) -> bool:
    """Say whether something is a list, tuple, named tuple, deque or dict, empty ones included.

    >>> import stepfit as keras
    >>> keras.tree.is_nested([]), keras.tree.is_nested(None)
    (True, False)
    """
    kind = type(structure)
    return kind in _SEQUENCES or kind in _DICTS or _is_named_tuple(structure)


def flatten(structure: Any) -> list[Any]:
    """Return the leaves, in order.

    >>> import stepfit as keras
    >>> keras.tree.flatten({"b": [1, None], "a": (2,)})
    [2, 1, None]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Return pairs ``(path, leaf)``; a path is a tuple of indices and keys.

    >>> import stepfit as keras
    >>> keras.tree.flatten_with_path([{"a": 4}, 5])
    [((0, 'a'), 4), ((1,), 5)]
    """
    found: list[tuple[tuple[Any, ...], Any]] = []

    def visit(node, path):
        if not is_nested(node):
            found.append((path, node))
            return
        for key, child in _children(node):
            visit(child, (*path, key))

    visit(structure, ())
    return found


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Call `func` on the leaves of structures of one form, and return its results in that form.

    Args:
        func: function of as many leaves as there are structures.
        structures: structures of the same form.
        none_is_leaf: False leaves None as it is, without a call of `func`.

    Raises:
        ValueError: structures of different forms, or none.

    >>> import stepfit as keras
    >>> keras.tree.map_structure(lambda a, b: a + b, {"x": (1, 2)}, {"x": (30, 40)})
    {'x': (31, 42)}
    """
    _check_callable("map_structure", func)
    if not structures:
        raise errors.bad_value("map_structure(structures)", "at least one structure", "none")

    def visit(path, first, *others):
        if first is None and not none_is_leaf:
            for other in others:
                if other is not None:
                    raise _mismatch("map_structure(structures)", path, first, other)
            return None
        if is_nested(first):
            return _rebuild(first, _matching("map_structure(structures)", path, visit, first,
                                             others))  # fmt: skip
        for other in others:
            if is_nested(other) or (other is None and not none_is_leaf):
                raise _mismatch("map_structure(structures)", path, first, other)
        return func(first, *others)

    return visit((), *structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Call `func` on what stands where `shallow_structure` has its leaves.

    Args:
        shallow_structure: the form of the result.
        func: function of as many values as there are structures.
        structures: structures that go at least as deep.

    Raises:
        ValueError: a structure that is shallower or has another form, or none.

    >>> import stepfit as keras
    >>> keras.tree.map_structure_up_to([0, [0]], str, [(1, 2), [3]])
    ['(1, 2)', ['3']]
    """
    _check_callable("map_structure_up_to", func)
    where = "map_structure_up_to(structures)"
    if not structures:
        raise errors.bad_value(where, "at least one structure", "none")

    def visit(path, shallow, *others):
        if is_nested(shallow):
            return _rebuild(shallow, _matching(where, path, visit, shallow, others))
        return func(*others)

    return visit((), shallow_structure, *structures)


def map_shape_structure(func: Callable[..., Any], structure: Any) -> Any:
    """Call `func` on the leaves; a list or tuple of ints and None is a shape, and so a leaf.

    >>> import stepfit as keras
    >>> keras.tree.map_shape_structure(len, [(None, 3), {"a": (2, 2, 2)}])
    [2, {'a': 3}]
    """
    if _is_shape(structure) or not is_nested(structure):
        return func(structure)
    return _rebuild(structure, [map_shape_structure(func, c) for _, c in _children(structure)])


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call `func` on a structure and all that is in it, and replace what it returns values for.

    Args:
        func: function of a structure or leaf. None as its result means: leave this as it is (and
            go into it, top-down); `MAP_TO_NONE` means: put None here.
        structure: what to go through.
        top_down: False visits what is inside first.

    >>> import stepfit as keras
    >>> keras.tree.traverse(lambda x: sum(x) if isinstance(x, tuple) else None, [(1, 2), [(3, 4)]])
    [3, [7]]
    """
    _check_callable("traverse", func)
    if top_down:
        found = func(structure)
    if not top_down or found is None:
        if is_nested(structure):
            parts = [traverse(func, child, top_down) for _, child in _children(structure)]
            structure = _rebuild(structure, parts)
        if top_down:
            return structure
        found = func(structure)
    if found is None:
        return structure
    return None if found is MAP_TO_NONE else found


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """Put a flat sequence into the form of a structure; `flatten` undoes it.

    Args:
        structure: the form.
        flat_sequence: as many items as the structure has leaves.

    Raises:
        ValueError: fewer or more items. TypeError: something that cannot be gone through.

    >>> import stepfit as keras
    >>> keras.tree.pack_sequence_as({"b": (0, 0), "a": 0}, [1, 2, 3])
    {'b': (2, 3), 'a': 1}
    """
    where = "pack_sequence_as(flat_sequence)"
    if not hasattr(flat_sequence, "__iter__"):
        raise errors.bad_type(where, "a sequence", flat_sequence)
    items, count = list(flat_sequence), len(flatten(structure))
    if len(items) != count:
        raise errors.bad_value(where, f"{count} items, the leaves of the structure",
                               f"{len(items)}")  # fmt: skip
    rest = iter(items)
    return map_structure(lambda leaf: next(rest), structure)


def lists_to_tuples(structure: Any) -> Any:
    """Return the structure with tuples in place of lists.

    >>> import stepfit as keras
    >>> keras.tree.lists_to_tuples([1, {"a": [2]}])
    (1, {'a': (2,)})
    """
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise unless two structures have the same form: kinds of containers, lengths and keys.

    Args:
        a, b: the structures.
        check_types: without effect; passing it warns.

    Raises:
        ValueError: naming the place where they differ.
    """
    if check_types is not None:
        text = "assert_same_structure(check_types) has no effect; for a looser check use "
        text += "assert_same_paths."
        warnings.warn(text, DeprecationWarning, stacklevel=errors.users_level())

    def visit(path, first, other):
        if is_nested(first):
            return _matching("assert_same_structure(b)", path, visit, first, (other,))
        if is_nested(other):
            raise _mismatch("assert_same_structure(b)", path, first, other)

    visit((), a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise unless two structures have the same paths, whatever the kinds of their sequences.

    Args:
        a, b: the structures.

    Raises:
        ValueError: naming the paths that only one of them has.
    """
    paths = [{path for path, _ in flatten_with_path(x)} for x in (a, b)]
    if paths[0] != paths[1]:
        only = [sorted(map(str, paths[i] - paths[1 - i]))[:5] for i in (0, 1)]
        raise errors.bad_value(
            "assert_same_paths(b)", "the paths of a",
            f"without {', '.join(only[0]) or 'none'} and with {', '.join(only[1]) or 'none'} more",
        )  # fmt: skip


def _is_named_tuple(x):
    return isinstance(x, tuple) and isinstance(getattr(type(x), "_fields", None), tuple)


def _is_shape(x):
    return isinstance(x, (list, tuple)) and all(d is None or isinstance(d, int) for d in x)


def _children(node):
    if type(node) in _DICTS:
        return [(key, node[key]) for key in sorted_keys(node)]
    return list(enumerate(node))


def _rebuild(node, parts):
    """Return a container like `node` with other things in it, in the order of `_children`."""
    kind: Any = type(node)
    if kind in _DICTS:
        by_key: dict[Any, Any] = dict(zip(sorted_keys(node), parts, strict=True))
        items = {key: by_key[key] for key in node}
        if kind is collections.defaultdict:
            return kind(node.default_factory, items)
        return items if kind is dict else kind(items)
    if kind is collections.deque:
        return collections.deque(parts, maxlen=node.maxlen)
    return kind(parts) if kind in _SEQUENCES else kind(*parts)


def _matching(where, path, visit, first, others):
    """Return `visit` of each child of `first` with the children of `others` in the same place."""
    of_others = []
    for other in others:
        both_dicts = type(first) in _DICTS and type(other) in _DICTS
        if both_dicts and set(first) == set(other):
            of_others.append([other[key] for key in sorted_keys(first)])
        elif not both_dicts and type(first) is type(other) and len(first) == len(other):
            of_others.append(list(other))
        else:
            raise _mismatch(where, path, first, other)
    keyed = _children(first)
    return [visit((*path, key), *parts)
            for (key, child), *rest in zip(keyed, *of_others, strict=True)
            for parts in [(child, *rest)]]  # fmt: skip


def _mismatch(where, path, first, other):
    place = f"{_say(first)} at {list(path)}" if path else _say(first)
    return errors.bad_value(where, place, _say(other), _DIFFERENT)


def _say(x):
    if _is_named_tuple(x):
        return f"the named tuple {type(x).__name__}"
    return errors.describe(x) if is_nested(x) or x is None else "a leaf"


def _check_callable(where, func):
    if not callable(func):
        raise errors.bad_type(f"{where}(func)", "a function", func)
