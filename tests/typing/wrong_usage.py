# ruff: noqa: B018
"""Mistakes that a type checker must find, each with the code of the error it must give."""

import numpy as np

import stepfit as keras


def mistakes(model: keras.Model, state: keras.TrainState, v: keras.Variable) -> None:
    x, y = np.ones((8, 4)), np.ones((8, 2))
    keras.layrs  # E: attr-defined
    keras.layers.Dens(2)  # E: attr-defined
    keras.layers.Dense("2")  # E: arg-type
    keras.layers.Dense(2, activaton="relu").shape  # E: attr-defined
    model.fitt(x, y)  # E: attr-defined
    model.fit(x, y, epoch=3)  # E: call-arg
    model.fit(x, y, epochs="3")  # E: arg-type
    model.fit(x, y, verbose="silent")  # E: arg-type
    model.fit(x, y).histroy  # E: attr-defined
    model.compile("adam", "mse", steps_per_execution="all")  # E: arg-type
    model.compile(optimiser="adam")  # E: call-arg
    model.evaluate(x, y, return_dict="yes")  # E: arg-type
    keras.GradientTape(persistant=True)  # E: call-arg
    with keras.GradientTape() as tape:
        loss = keras.ops.mean(v)
    tape.gradient(loss, v, unconnected_gradients="zeros")  # E: arg-type
    state.trainable_varaibles  # E: attr-defined
    v.assign()  # E: call-arg
    v.path + 1  # E: operator
    keras.value_and_grad(lambda: v * v, v.name)()  # E: arg-type
    keras.random.SeedGenerator(seed="1")  # E: arg-type
    keras.optimizers.Adam(1e-3).aply([v])  # E: attr-defined
