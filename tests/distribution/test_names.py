"""Names, signatures and what they refuse; on one device. Real Keras is the oracle."""

import inspect

import keras
import numpy as np
import pytest

import stepfit
from stepfit.core import errors

ours, theirs = stepfit.distribution, keras.distribution


def mesh(module=ours, shape=(1, 1), names=("batch", "model")):
    return module.DeviceMesh(shape, list(names), devices=["cpu:0"])


@pytest.mark.parametrize("name", [n for n in dir(theirs) if not n.startswith("_")])
def test_every_name_of_keras_is_there_with_its_arguments(name):
    mine, real = getattr(ours, name), getattr(theirs, name)
    own, wanted = (inspect.signature(f).parameters for f in (mine, real))
    kept = [n for n, p in wanted.items() if p.kind is not p.VAR_KEYWORD]
    assert [n for n in own if n in wanted] == kept
    assert all(own[n].default == wanted[n].default for n in kept)
    if inspect.isclass(mine):
        left_out = {"distribute_dataset", "distribute_tf_dataset"}  # the engine does it
        public = {n for n in dir(real) if not n.startswith("_")} - left_out
        assert public <= set(dir(mine))


def test_devices_and_mesh_are_those_of_keras():
    assert ours.list_devices() == theirs.list_devices()
    assert ours.get_device_count() == theirs.get_device_count()
    mine, real = mesh(), mesh(theirs)
    assert (mine.shape, mine.axis_names) == (real.shape, real.axis_names)
    assert np.array_equal(mine.devices, real.devices)
    assert dict(mine.backend_mesh.shape) == dict(real.backend_mesh.shape)
    axes = (None, "model")
    layouts = ours.TensorLayout(axes, mine), theirs.TensorLayout(axes, real)
    assert layouts[0].backend_layout.spec == layouts[1].backend_layout.spec


KEYS = {".*dense.*kernel": (None, "model"), "dense.*bias": ("model",), "exact/kernel": ("batch",)}


@pytest.mark.parametrize(
    "path", ["my/dense_1/kernel", "dense_2/bias", "my/dense/bias", "exact/kernel", "conv/kernel"]
)
def test_layouts_are_found_as_in_keras(path):
    found = []
    for module in (ours, theirs):
        layouts = module.LayoutMap(mesh(module))
        layouts.update(KEYS)
        assert len(layouts) == 3 and list(layouts) == list(KEYS)
        layout = layouts[path]
        found.append(None if layout is None else layout.axes)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["DataParallel", "ModelParallel"])
def test_layouts_of_data_and_variables_are_those_of_keras(kind):
    found = []
    for module, package in ((ours, stepfit), (theirs, keras)):
        layouts = module.LayoutMap(mesh(module))
        layouts[".*kernel"] = (None, "model")
        if kind == "DataParallel":
            made = module.DataParallel(devices=["cpu:0"])
        else:
            made = module.ModelParallel(layout_map=layouts, batch_dim_name="batch")
        layer = package.layers.Dense(3, name="d")
        layer.build((None, 2))
        variables = [made.get_variable_layout(v).axes for v in layer.weights]
        found.append((
            variables, made.get_data_layout((4, 2, 2)).axes, made.num_model_replicas,
            made.batch_dim_name, made.num_processes, made.data_shard_id, made.auto_shard_dataset,
        ))  # fmt: skip
    assert found[0] == found[1]


def test_slots_lie_as_their_weights_do():
    layouts = ours.LayoutMap(mesh())
    layouts["d/kernel"] = (None, "model")
    parallel = ours.ModelParallel(layout_map=layouts)
    layer = stepfit.layers.Dense(3, name="d")
    layer.build((None, 2))
    optimizer = stepfit.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    axes = [parallel.get_variable_layout(v).axes for v in optimizer.variables]
    assert axes.count((None, "model")) == 2  # both moments of the kernel


def test_sharded_cuts_the_largest_axis_that_divides():
    sharded = ours.FullyShardedDataParallel(mesh(names=("batch", "model")), least=4)

    def make(*shape):
        return stepfit.Variable(np.zeros(shape, "float32"))

    assert sharded.get_variable_layout(make(2, 8)).axes == (None, "batch")
    assert sharded.get_variable_layout(make(8, 2)).axes == ("batch", None)
    assert sharded.get_variable_layout(make(3)).axes == (None,)
    layouts = ours.LayoutMap(mesh())
    layouts[".*"] = (None, "model")
    both = ours.FullyShardedDataParallel(layout_map=layouts, least=4)
    assert both.get_variable_layout(make(2, 8)).axes == ("batch", "model")


def _scoped():
    with ours.DataParallel(devices=["cpu:0"]).scope():
        stepfit.distribution.set_distribution("all")


WRONG = {
    "a mesh without names": (
        lambda: ours.DeviceMesh((8,), []),
        "DeviceMesh(shape, axis_names): expected a size and a name for each axis, found shape "
        "(8,), axis_names [].",
    ),
    "too few devices": (
        lambda: ours.DeviceMesh((4, 2), ["batch", "model"], devices=["cpu:0"]),
        "DeviceMesh(shape=(4, 2)): expected 8 devices, found 1; list_devices() shows what there "
        "is; pass devices=[...] for some.",
    ),
    "no such device": (
        lambda: ours.DeviceMesh((1,), ["batch"], devices=["cpu:99"]).backend_mesh,
        "DeviceMesh(devices): expected names of devices that list_devices() lists, found 'cpu:99'.",
    ),
    "a misspelt axis": (
        lambda: ours.TensorLayout(("batc", None), mesh()),
        "TensorLayout(axes): expected the name of a mesh axis, found 'batc'; did you mean 'batch'?",
    ),
    "an axis used twice": (
        lambda: ours.TensorLayout(("batch", "batch"), mesh()),
        "TensorLayout(axes): expected each axis of the mesh at most once, found "
        "('batch', 'batch').",
    ),
    "two keys": (
        lambda: _two_keys()["d/kernel"],
        "LayoutMap['d/kernel']: expected one key that matches, found ['.*kernel', 'd/.*']; make "
        "the keys more special, so that each path has one layout.",
    ),
    "a key again": (
        lambda: _two_keys().update({"d/.*": ("model",)}),
        "LayoutMap['d/.*']: expected a key that is not there yet, found one that is.",
    ),
    "a layout that is none": (
        lambda: ours.LayoutMap(mesh()).update({"x": "model"}),
        "LayoutMap['x']: expected a TensorLayout, or a tuple of names of axes and None, found "
        "'model'.",
    ),
    "no layout map": (
        lambda: ours.ModelParallel(),
        "ModelParallel(layout_map): expected a LayoutMap, found None.",
    ),
    "no mesh": (
        lambda: ours.DataParallel(device_mesh=8),
        "DataParallel(device_mesh): expected a DeviceMesh, found 8.",
    ),
    "a batch axis that is not there": (
        lambda: ours.FullyShardedDataParallel(mesh(), batch_dim_name="data"),
        "FullyShardedDataParallel(batch_dim_name): expected the name of a mesh axis, found "
        "'data'; known names: 'batch', 'model'.",
    ),
    "not a distribution": (
        _scoped,
        "set_distribution(value): expected a distribution such as DataParallel(), or None, found "
        "'all'.",
    ),
    "compiled with something else": (
        lambda: stepfit.Sequential([stepfit.layers.Dense(1)]).compile(distribution="data"),
        "compile(distribution): expected a distribution such as DataParallel(), or None, found "
        "'data'.",
    ),
    "too many axes": (
        lambda: _placed((None, None, "model")),
        "ModelParallel: variable 'd/kernel': expected a layout of at most 2 axes, for shape "
        "(2, 3), found (None, None, 'model').",
    ),
    "a device type": (
        lambda: ours.list_devices("cpus"),
        "list_devices(device_type): expected the name of a device type, found 'cpus'; did you "
        "mean 'cpu'?",
    ),
    "a process too many": (
        lambda: ours.initialize("localhost:1", num_processes=2, process_id=2),
        "initialize(process_id): expected a number from 0 to 1, found 2.",
    ),
}


def _two_keys():
    layouts = ours.LayoutMap(mesh())
    layouts[".*kernel"], layouts["d/.*"] = (None, "model"), ("model",)
    return layouts


def _placed(axes):
    layouts = ours.LayoutMap(mesh())
    layouts["d/kernel"] = axes
    with ours.ModelParallel(layout_map=layouts).scope():
        stepfit.layers.Dense(3, name="d").build((None, 2))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_and_how(case):
    run, text = WRONG[case]
    with pytest.raises(errors.StepfitError) as caught:
        run()
    assert str(caught.value) == text
    assert ours.distribution() is None
