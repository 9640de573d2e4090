"""Tracking: what an object holds is found by looking, when asked."""

import numpy as np
import pytest

import stepfit
from stepfit.core.tracking import Tracked, children, walk
from stepfit.core.variable import Variable


class Box(Tracked):
    def __init__(self, **attributes):
        vars(self).update(attributes)


def is_variable(item):
    return isinstance(item, Variable)


def names(items):
    return [item.name for item in items]


def make(*wanted):
    return [Variable(0.0, name=name) for name in wanted]


@pytest.mark.parametrize(
    "hold",
    [
        lambda a, b: {"x": a, "y": b},
        lambda a, b: {"x": [a, b]},
        lambda a, b: {"x": (a, (b,))},
        lambda a, b: {"x": {"k": a, 3: [b]}},
        lambda a, b: {"x": a, "y": Box(z=b)},
        lambda a, b: {"x": [Box(z=a), {"q": Box(z=[b])}]},
        lambda a, b: {"x": [a, a], "y": b, "z": (a, b)},
        lambda a, b: {"n": 3, "s": "text", "o": object(), "x": a, "none": None, "y": b},
    ],
)
def test_everything_held_is_found_once_in_order(hold):
    a, b = make("a", "b")
    assert names(walk(Box(**hold(a, b)), is_variable)) == ["a", "b"]


def test_appended_later():
    a, b, c = make("a", "b", "c")
    box = Box(items=[a], table={})
    assert names(walk(box, is_variable)) == ["a"]
    box.items.append(b)
    box.table["c"] = [c]
    assert names(walk(box, is_variable)) == ["a", "b", "c"]
    box.items.pop(0)
    assert names(walk(box, is_variable)) == ["b", "c"]


def test_cycles_end():
    (a,) = make("a")
    parent, child = Box(), Box(v=a)
    parent.children, child.parent = [child], parent
    loop = [parent]
    loop.append(loop)
    child.loop = loop
    assert names(walk(parent, is_variable)) == ["a"]
    assert walk(parent, lambda x: isinstance(x, Box)) == [child]
    assert walk(child, lambda x: isinstance(x, Box)) == [parent]


def test_shared_objects_come_once():
    (a,) = make("a")
    shared = Box(v=a)
    root = Box(left=Box(s=shared), right=[shared])
    assert walk(root, lambda x: x is shared) == [shared]
    assert names(walk(root, is_variable)) == ["a"]


def test_parents_come_before_children():
    inner = Box(name="inner")
    outer = Box(name="outer", held=inner)
    assert names(walk(Box(o=outer), lambda x: isinstance(x, Box))) == ["outer", "inner"]


def test_only_entered_where_told():
    a, b = make("a", "b")
    closed = Box(v=b)
    root = Box(v=a, closed=closed)
    assert names(walk(root, is_variable, enter=lambda x: x is not closed)) == ["a"]
    assert [id(x) for x in children(root)] == [id(a), id(closed)]


def test_attributes_that_are_references_are_left_out():
    class Careful(Box):
        _untracked_names = Tracked._untracked_names | {"_owner"}

    a, b = make("a", "b")
    assert names(walk(Careful(mine=a, _owner=Box(v=b)), is_variable)) == ["a"]


def test_deep_structures_need_no_recursion():
    (a,) = make("a")
    nested = [a]
    for _ in range(5000):
        nested = [nested]
    assert names(walk(Box(deep=nested), is_variable)) == ["a"]


def test_layers_hold_by_the_same_rule():
    class Block(stepfit.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.by_name = {"first": stepfit.layers.Dense(2, name="first")}
            self.in_order = [stepfit.layers.Dense(3, name="second")]

        def call(self, x):
            for layer in (*self.by_name.values(), *self.in_order):
                x = layer(x)
            return x

    block = Block()
    block(np.ones((1, 4)))
    assert [v.path for v in block.weights] == [
        "block/first/kernel", "block/first/bias", "block/second/kernel", "block/second/bias",
    ]  # fmt: skip
    block.in_order.append(stepfit.layers.Dense(1, name="third"))
    block(np.ones((1, 4)))
    assert block.weights[-1].path == "block/third/bias" and len(block.weights) == 6


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_are_looked_through_in_the_order_of_names(kind):
    metrics = [stepfit.metrics.Mean(name=n) for n in "cab"]
    layer = stepfit.layers.Dense(1)
    layer.found = kind([*metrics, "not held", 3])
    assert [m.name for m in layer.metrics] == ["a", "b", "c"]
    assert [m.name for m in children(Box(held=kind(metrics), again=metrics))] == ["a", "b", "c"]
