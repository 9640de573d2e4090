"""`stepfit.tree` beside `keras.tree`: every function on every pair of structures of a table."""

import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple

import keras
import numpy as np
import pytest

import stepfit
from stepfit import tree
from tests.expect import refused

P, Q = namedtuple("P", "x y"), namedtuple("Q", "x y")
STRUCTURES = [
    1, None, [], (), {}, [1], (1,), [None], {"b": 1, "a": [2, None]}, {"a": [2, None], "b": 1},
    {"b": 1, "c": [2, None]}, OrderedDict([("b", 1), ("a", (2,))]), defaultdict(int, {"z": 1}),
    {"z": 5}, deque([1, [2]], maxlen=4), P(1, (2, 3)), Q(1, (2, 3)), [(1, 2), [3], {"a": 4}],
    {2: 0, 1: [0]}, (None, 3), [(None, 3), [2, 2]], [1, [2]], ([1], 2),
]  # fmt: skip


def outcome(function, *args, **kwargs):
    try:
        return repr(function(*args, **kwargs))
    except (ValueError, TypeError) as error:
        return type(error).__name__.removeprefix("Stepfit")


def as_in_keras(name, *args, **kwargs):
    ours = outcome(getattr(tree, name), *args, **kwargs)
    assert ours == outcome(getattr(keras.tree, name), *args, **kwargs), (name, args)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_one_structure(structure):
    for name in ("flatten", "flatten_with_path", "is_nested", "lists_to_tuples"):
        as_in_keras(name, structure)
    for none_is_leaf in (True, False):
        as_in_keras("map_structure", lambda x: (x, "m"), structure, none_is_leaf=none_is_leaf)
    as_in_keras("map_shape_structure", lambda x: ("s", x), structure)
    for count in range(4):
        as_in_keras("pack_sequence_as", structure, list(range(count)))
    as_in_keras("pack_sequence_as", structure, 3)
    for top_down in (True, False):
        as_in_keras("traverse", lambda x: 0 if x == 1 else None, structure, top_down=top_down)
        ours, theirs = (
            outcome(module.traverse, lambda x, m=module: m.MAP_TO_NONE if type(x) is list else None,
                    structure, top_down=top_down)
            for module in (tree, keras.tree)
        )  # fmt: skip
        assert ours == theirs


@pytest.mark.parametrize("a", STRUCTURES, ids=repr)
def test_two_structures(a):
    for b in STRUCTURES:
        as_in_keras("assert_same_structure", a, b)
        as_in_keras("assert_same_paths", a, b)
        for none_is_leaf in (True, False):
            as_in_keras("map_structure", lambda x, y: (x, y), a, b, none_is_leaf=none_is_leaf)
        if "None" not in repr(a):  # where Keras contradicts its own page
            as_in_keras("map_structure_up_to", a, lambda x: ("u", x), b)
            as_in_keras("map_structure_up_to", a, lambda x, y: ("u", x, y), b, b)


def test_none_is_a_leaf_of_a_shallow_structure():
    assert tree.map_structure_up_to([None, [None]], str, [[1, 1], [2]]) == ["[1, 1]", ["2"]]


def test_arrays_variables_and_symbolic_tensors_are_leaves():
    leaves = [np.ones(2), stepfit.Variable(1.0), stepfit.Input((2,))]
    assert all(x is y for x, y in zip(tree.flatten({"a": leaves}), leaves, strict=True))


def test_a_deque_keeps_its_length():
    assert tree.map_structure(str, deque([1, 2], maxlen=2)).maxlen == 2


BAD = [
    (lambda: tree.map_structure(max, [1, (2,)], [1, [2]]),
     "map_structure(structures): expected tuple of 1 elements at [1], found list of 1 elements; "
     "compare them with assert_same_paths where list and tuple may stand for each other."),
    (lambda: tree.assert_same_structure({"a": 1}, {"a": (1, 2)}),
     "assert_same_structure(b): expected a leaf at ['a'], found tuple of 2 elements; compare them "
     "with assert_same_paths where list and tuple may stand for each other."),
    (lambda: tree.assert_same_paths([1, 2], (1,)),
     "assert_same_paths(b): expected the paths of a, found without (1,) and with none more."),
    (lambda: tree.pack_sequence_as([1, 2], [3]),
     "pack_sequence_as(flat_sequence): expected 2 items, the leaves of the structure, found 1."),
    (lambda: tree.map_structure(1, [2]),
     "map_structure(func): expected a function, found 1."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError), text)


def test_check_types_is_a_thing_of_the_past():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tree.assert_same_structure([1], [2], check_types=True)
    assert [str(w.message) for w in caught] == [
        "assert_same_structure(check_types) has no effect; for a looser check use "
        "assert_same_paths."
    ]
