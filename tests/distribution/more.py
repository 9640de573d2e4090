"""What else holds with several devices; each function returns what its test looks at."""

import contextlib
import copy
import pickle
import tempfile
import warnings

import jax
import numpy as np

import stepfit as keras
from tests.distribution import models

distribution = keras.distribution
SHARDED = distribution.FullyShardedDataParallel


def _mlp(spread=None):
    return models.mlp(spread, rows=32)


def _fit(model, data, epochs=1, **arguments):
    return model.fit(*data, batch_size=16, epochs=epochs, verbose=0, **arguments)


def reshard():
    """A model that trains on 1, 8, 2, 1 devices in turn is the one that stays on 1."""
    model, data = _mlp()
    weights, state, devices = [], [], []
    for made in (None, SHARDED(least=64), distribution.DataParallel(devices=["cpu:1", "cpu:3"]),
                 None):  # fmt: skip
        distribution.set_distribution(made)
        _fit(model, data)
        moment = model.optimizer.variables[-3]
        devices.append(len(model.layers[0].kernel.value.devices()))
        state.append(len(moment.value.devices()))
        weights.append(model.get_weights())
    distribution.set_distribution(None)
    other, data = _mlp()
    for kept in weights:
        _fit(other, data)
        assert np.allclose(kept[0], other.get_weights()[0], rtol=1e-5, atol=1e-5)
    return {"devices": devices, "state": state}


def scope():
    """What is compiled in a block stays with it; values read and written are whole."""
    with SHARDED(least=64).scope():
        assert distribution.distribution() is not None
        model, data = _mlp()
        kernel = model.layers[0].kernel
        built = str(kernel.value.sharding.spec)
        layer = keras.layers.Dense(64)
        layer.build((None, 32))
    assert distribution.distribution() is None
    _fit(model, data)
    moment = next(v for v in model.optimizer.variables if v.reference is kernel)
    before = kernel.value  # escapes: the next step must not delete it
    weights = model.get_weights()
    model.set_weights([w * 2 for w in weights])
    after = model(data[0][:4])
    _fit(model, data)
    assert np.asarray(before).shape == (16, 64) and np.isfinite(np.asarray(before)).all()
    twin = copy.deepcopy(model)
    x = data[0][:8]
    assert np.array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(f"{folder}/on_eight.weights.h5")
        on_two, _ = _mlp(distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
        on_two.load_weights(f"{folder}/on_eight.weights.h5")
    read = pickle.loads(pickle.dumps(model))
    assert len(read.layers[0].kernel.value.devices()) == 1
    for other in (read, on_two):
        assert np.array_equal(other.get_weights()[0], model.get_weights()[0])
    return {
        "built": built, "alone": str(layer.kernel.value.sharding.spec),
        "after": str(kernel.value.sharding.spec), "moment": str(moment.value.sharding.spec),
        "shapes": [list(w.shape) for w in weights[:2]], "called": list(after.shape),
        "held": max(s.data.nbytes for s in kernel.value.addressable_shards),
    }  # fmt: skip


def backup():
    """A run on 8 devices that is broken off goes on with 2: same data order, same curve."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("stopped")

    whole, data = _mlp()
    curve = _fit(whole, data, epochs=4).history["loss"]
    with tempfile.TemporaryDirectory() as folder:
        first, data = _mlp(SHARDED(least=64))
        callbacks = [keras.callbacks.BackupAndRestore(folder), Stop()]
        with contextlib.suppress(RuntimeError):
            _fit(first, data, epochs=4, callbacks=callbacks)
        two = distribution.DataParallel(devices=["cpu:0", "cpu:1"])
        second, data = _mlp(two)
        resumed = _fit(second, data, epochs=4, callbacks=callbacks[:1]).history["loss"]
    return {"whole": curve, "resumed": resumed,
            "devices": len(second.layers[0].kernel.value.devices())}  # fmt: skip


def steps():
    """Steps that are not compiled, data that stays on the devices, generators, batch hooks."""
    parallel = distribution.DataParallel()
    found = {}
    model, data = _mlp()
    _fit(model, data)
    alone = model.get_weights()[0]

    def compare(name, run):
        model, data = _mlp(parallel)
        run(model, data)
        found[name] = float(np.abs(model.get_weights()[0] - alone).max())

    def eagerly(model, data):
        model.run_eagerly = True
        _fit(model, data)

    def resident(model, data):
        keras.config.set_device_data_budget(1 << 20)
        _fit(model, data)
        keras.config.set_device_data_budget(None)
        assert model.execution_report()["train"].programs[0].resident

    class Looks(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            Looks.seen += self.model.get_weights()[0].shape == (16, 64)

    compare("resident", resident)
    compare("hooks", lambda model, data: _fit(model, data, callbacks=[Looks()]))
    compare("eager", eagerly)
    found["seen"] = Looks.seen
    return found


def options():
    """How far from one device: weights of samples and classes, accumulation, EMA, odd batches."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(37, 8)).astype("float32"), rng.integers(0, 3, 37)
    weights = rng.random(37).astype("float32")

    def run(parallel):
        keras.utils.set_random_seed(3)
        layers = [  # with tanh: before a normalization, Adam would blow up a bias's rounding errors
            keras.Input((8,)), keras.layers.Dense(16, "tanh"), keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3), keras.layers.Dense(3, "softmax"),
        ]  # fmt: skip
        model = keras.Sequential(layers)
        optimizer = keras.optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2)
        loss = "sparse_categorical_crossentropy"
        model.compile(optimizer, loss, weighted_metrics=["accuracy"], distribution=parallel)
        first = model.fit(x, y, sample_weight=weights, batch_size=8, epochs=2, verbose=0,
                          validation_data=(x[:13], y[:13], weights[:13]))  # fmt: skip
        best = keras.callbacks.EarlyStopping(patience=0, restore_best_weights=True)
        second = model.fit(x, y, class_weight={0: 1.0, 1: 5.0, 2: 0.5}, batch_size=8, epochs=2,
                           verbose=0, validation_split=0.3, callbacks=[best])  # fmt: skip
        curves = [*first.history.values(), *second.history.values()]
        return [*map(np.array, curves), *model.get_weights(), model.predict(x, verbose=0)]

    alone, many = run(None), run(SHARDED(least=8))
    return max(float(np.abs(a - b).max()) for a, b in zip(alone, many, strict=True))


def autopsy():
    """A loss that is not finite is found, and traced back, with weights in parts."""
    model, (x, y) = _mlp(SHARDED(least=64))
    x = x.copy()
    x[20] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        callback = keras.callbacks.TerminateOnNaN()
        model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0, callbacks=[callback])
    finite = bool(np.isfinite(model.get_weights()[0]).all())
    return {"batch": callback.report.batch, "rows": list(callback.report.rows), "finite": finite}


def layouts():
    """What a layer returns is spread by its path; a tensor by hand, inside a compiled function."""
    mesh = distribution.DeviceMesh((2, 4), ["batch", "model"])
    map_ = distribution.LayoutMap(mesh)
    map_["up/output"] = ("batch", "model")
    with distribution.ModelParallel(layout_map=map_).scope():
        layer = keras.layers.Dense(8, name="up")
        y = layer(np.ones((4, 3), "float32"))
    layout = distribution.TensorLayout((None, "model"), mesh)
    inside = jax.jit(lambda x: distribution.distribute_tensor(x, layout))(np.ones((2, 8)))
    odd = keras.distribution.TensorLayout(("model",), mesh)
    try:
        distribution.distribute_tensor(np.ones((2, 8)), odd)
    except ValueError as e:
        error = str(e)
    return {"output": str(y.sharding.spec), "inside": str(inside.sharding.spec), "error": error}


def guide():
    """The calls of Keras's guide to distributed training, on a tf.data pipeline."""
    import tensorflow as tf

    layers = keras.layers
    devices = jax.devices("cpu")
    mesh = distribution.DeviceMesh(shape=(2, 4), axis_names=["data", "model"], devices=devices)
    distribution.TensorLayout(axes=("model", "data"), device_mesh=mesh)
    distribution.TensorLayout(axes=("data", None, None, None), device_mesh=mesh)
    mesh_1d = distribution.DeviceMesh(shape=(8,), axis_names=["data"], devices=devices)
    distribution.DataParallel(devices=devices)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(48, 28, 28, 1)), rng.normal(size=(48, 10))
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)

    def build():
        keras.utils.set_random_seed(0)
        inputs = layers.Input(shape=(28, 28, 1))
        y = layers.Flatten()(inputs)
        y = layers.Dense(units=200, use_bias=False, activation="relu", name="d1")(y)
        y = layers.Dropout(0.4)(y)
        y = layers.Dense(units=10, activation="softmax", name="d2")(y)
        model = keras.Model(inputs=inputs, outputs=y)
        model.compile(loss="mse")
        model.fit(dataset, epochs=2, verbose=0)
        return model.evaluate(dataset, verbose=0), str(model.weights[0].value.sharding.spec)

    distribution.set_distribution(distribution.DataParallel(device_mesh=mesh_1d))
    losses = [build()]
    layout_map = distribution.LayoutMap(mesh)
    layout_map["d1/kernel"] = (None, "model")
    layout_map["d1/bias"] = ("model",)
    layout_map["d2/output"] = ("data", None)
    parallel = distribution.ModelParallel(layout_map=layout_map, batch_dim_name="data")
    distribution.set_distribution(parallel)
    losses.append(build())
    distribution.set_distribution(None)
    return losses
