"""`layers.serialize` and `layers.deserialize`, beside Keras's."""

import keras
import numpy as np
import pytest

import stepfit


class Own(stepfit.layers.Layer):
    def call(self, x):
        return x + 1


MADE = [
    ("Dense", {"units": 3, "activation": "relu", "name": "d"}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "dtype": "mixed_bfloat16"}),
    ("Bidirectional", {"layer": ("LSTM", {"units": 2})}),
]


def make(module, name, options):
    options = {k: make(module, *v) if isinstance(v, tuple) else v for k, v in options.items()}
    return getattr(module.layers, name)(**options)


@pytest.mark.parametrize(("name", "options"), MADE, ids=[row[0] for row in MADE])
def test_a_layer_comes_back_from_its_own_and_from_keras_config(name, options):
    layer = make(stepfit, name, options)
    own = stepfit.layers.deserialize(stepfit.layers.serialize(layer))
    of_keras = stepfit.layers.deserialize(keras.layers.serialize(make(keras, name, options)))
    for found in (own, of_keras):
        assert type(found) is type(layer)
        assert found.get_config().keys() == layer.get_config().keys()
        assert found.compute_dtype == layer.compute_dtype
    theirs = keras.layers.deserialize(stepfit.layers.serialize(layer))
    assert type(theirs).__name__ == name


def test_own_layers_are_passed_in():
    config = stepfit.layers.serialize(Own(name="own"))
    layer = stepfit.layers.deserialize(config, {"Own": Own})
    assert isinstance(layer, Own) and layer(np.ones(1))[0] == 2
    with pytest.raises(ValueError, match="expected the name of a registered class, found 'Own'"):
        stepfit.layers.deserialize(config)
    with pytest.raises(TypeError) as error:
        stepfit.layers.serialize("Dense")
    assert str(error.value) == "serialize(layer): expected a layer, found 'Dense'."
