"""The config of every layer of the table, in both directions between stepfit and real Keras."""

import json

import pytest

import stepfit
from tests.parity.layers import ROWS
from tests.parity.test_layers import make
from tests.saving.models import keras

ROWS = [row for row in ROWS if hasattr(keras.layers, row.cls) and row.cls != "Lambda"]


def in_json(config):
    return json.loads(json.dumps(config))


@pytest.mark.parametrize("cls", sorted({row.cls for row in ROWS}))
def test_configs_are_keras_configs(cls):
    for row in (row for row in ROWS if row.cls == cls):
        theirs, ours = make(row, keras.layers), make(row)
        a = in_json(keras.saving.serialize_keras_object(theirs))
        b = in_json(stepfit.saving.serialize_keras_object(ours))
        for key in ("module", "class_name", "registered_name"):
            assert a[key] == b[key], (row.id, key)
        assert a.keys() == b.keys()
        for config in (a, b):
            keras.saving.deserialize_keras_object(in_json(config))  # which takes things out of it
            found = stepfit.saving.deserialize_keras_object(config)
            assert type(found) is type(ours)
            assert found.name == config["config"].get("name", found.name)
            given = {k: v for k, v in config["config"].items() if isinstance(v, (bool, str, float))}
            kept = in_json(found.get_config())
            for key in given.keys() & kept.keys():
                if isinstance(kept[key], (bool, str, float)):
                    assert kept[key] == given[key], (row.id, key)
