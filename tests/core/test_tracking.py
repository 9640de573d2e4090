"""Tracking: what an object holds is found by looking, when asked."""

import copy
import pickle
import timeit

import numpy as np
import pytest

import stepfit
from stepfit.core.tracking import Tracked, Watch, changes, children, walk
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


def counted(act):
    before = changes()
    act()
    return changes() != before


def model():
    keras = stepfit
    layers = [keras.layers.Dense(3, name="a"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


COUNTED = {
    "a Variable": lambda m: Variable(0.0),
    "a layer": lambda m: stepfit.layers.Flatten(),
    "a copy of a Variable": lambda m: copy.deepcopy(m.weights[0]),
    "an unpickled Variable": lambda m: pickle.loads(pickle.dumps(m.weights[0])),
    "a Variable's flag": lambda m: setattr(m.weights[0], "trainable", False),
    "a layer's flag": lambda m: setattr(m.layers[0], "trainable", False),
    "the model's flag": lambda m: setattr(m, "trainable", False),
    "an argument of a layer": lambda m: setattr(m.layers[1], "rate", 0.25),
    "an attribute that holds": lambda m: setattr(m, "extra", [Box()]),
    "an attribute that is plain": lambda m: setattr(m, "extra", 3),
    "an attribute deleted": lambda m: delattr(m.layers[1], "rate"),
    "a layer more": lambda m: m.add(stepfit.layers.Activation("relu")),
    "a layer less": lambda m: m.pop(),
    "compile": lambda m: m.compile(loss="mae"),
    "a schedule": lambda m: setattr(m.optimizer, "learning_rate", lambda step: 0.1 / (step + 1)),
    "an option of an optimizer": lambda m: setattr(m.optimizer, "clipnorm", 1.0),
}
X = np.ones((4, 2), "float32")
NOT_COUNTED = {
    "a value assigned": lambda m: m.weights[0].assign(m.weights[0] + 1),
    "the same flag": lambda m: setattr(m.weights[0], "trainable", True),
    "the same argument": lambda m: setattr(m.layers[1], "rate", m.layers[1].rate),
    "a rate assigned": lambda m: setattr(m.optimizer, "learning_rate", 0.5),
    "a call": lambda m: m(X, training=True),
    "a loss in a call": lambda m: m.layers[0].add_loss(1.0),
    "a step": lambda m: m.train_on_batch(X, np.ones((4, 1))),
    "reset_metrics": lambda m: m.reset_metrics(),
    "reading": lambda m: (m.weights, m.get_weights(), m.losses, m.metrics),
}


@pytest.mark.parametrize("act", COUNTED.values(), ids=COUNTED)
def test_what_is_counted(act):
    m = model()
    watch = Watch(m)
    assert counted(lambda: act(m))
    assert watch.changed()
    watch.renew()
    assert not watch.changed()


@pytest.mark.parametrize("act", NOT_COUNTED.values(), ids=NOT_COUNTED)
def test_what_is_not_counted(act):
    m = model()
    for _ in range(2):  # what comes with the first call has come
        m(X)
        m.train_on_batch(X, np.ones((4, 1)))
    watch = Watch(m)
    assert not counted(lambda: act(m))
    assert not watch.changed()


IN_PLACE = {
    "list.append": lambda box, v: box.items.append(v),
    "list.__setitem__": lambda box, v: box.items.__setitem__(0, v),
    "list.pop": lambda box, v: box.items.pop(),
    "dict.__setitem__": lambda box, v: box.table.__setitem__("k", v),
    "dict.pop": lambda box, v: box.table.pop("k"),
    "a list in a tuple in a dict": lambda box, v: box.table["deep"][0].append(v),
    "a list of an inner object": lambda box, v: box.inner[0].items.append(v),
    "set.add": lambda box, v: box.bag.add(v),
}


@pytest.mark.parametrize("act", IN_PLACE.values(), ids=IN_PLACE)
def test_a_watch_sees_containers_changed_in_place(act):
    a, b, c, other = make("a", "b", "c", "other")
    box = Box(items=[a], table={"k": b, "deep": ([],)}, inner=[Box(items=[])], bag={c})
    watch = Watch(box)
    assert not watch.changed()
    assert not counted(lambda: act(box, other))
    assert watch.changed()
    watch.renew()
    assert not watch.changed()


def test_a_watch_costs_little_beside_a_walk():
    layers = [stepfit.layers.Dense(2) for _ in range(50)]
    m = stepfit.Sequential([stepfit.Input((2,)), *layers])
    watch = Watch(m)
    walk_time = min(timeit.repeat(lambda: m.variables, number=20, repeat=5))
    watch_time = min(timeit.repeat(watch.changed, number=20, repeat=5))
    assert watch_time < walk_time / 10
