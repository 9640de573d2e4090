"""Dicts with integers as keys, in configs: JSON has none."""

import json

import keras as real
import numpy as np
import pytest

import stepfit as keras
from tests.expect import refused

TABLE = {1: "a", -2: {3: 4, "5": [{6: 7}, (8, {9: [10]})]}, "word": {"1": 2}, "": 0}


@keras.saving.register_keras_serializable("int_keys")
class Holds(keras.layers.Layer):
    """A layer with a table, and with another one inside."""

    def __init__(self, table=None, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.table, self.inner = table, inner

    def call(self, x):
        return x


@keras.saving.register_keras_serializable("int_keys")
class Undoes(Holds):
    """What was written for Keras: it makes integers of the keys itself."""

    @classmethod
    def from_config(cls, config):
        config["table"] = {int(k): v for k, v in config["table"].items()}
        return cls(**config)


@real.saving.register_keras_serializable("int_keys", "Holds")
class RealHolds(real.layers.Layer):
    """The same in Keras."""

    def __init__(self, table=None, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def call(self, x):
        return x


def model(layer):
    return keras.Sequential([keras.Input((2,)), layer])


def with_lists(value):
    """Return a value with lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {k: with_lists(v) for k, v in value.items()}
    return [with_lists(v) for v in value] if isinstance(value, (list, tuple)) else value


def test_they_come_back(tmp_path):
    path = tmp_path / "m.keras"
    model(Holds(TABLE, inner=Holds({0: 1}))).save(path)
    found = keras.saving.load_model(path).layers[0]
    assert found.table == with_lists(TABLE) and list(found.table) == list(TABLE)
    assert found.inner.table == {0: 1}
    model(Undoes({1: 2})).save(path)
    assert keras.saving.load_model(path).layers[0].table == {1: 2}


def test_they_come_back_from_configs():
    config = keras.layers.serialize(Holds(TABLE))
    assert keras.layers.deserialize(config).table == TABLE  # which was in memory
    text = json.loads(json.dumps(config))
    assert keras.layers.deserialize(text).table == with_lists(TABLE)
    assert text == json.loads(json.dumps(config))
    text = model(Holds(TABLE)).to_json()
    assert keras.models.model_from_json(text).layers[0].table == with_lists(TABLE)
    assert keras.models.clone_model(model(Holds(TABLE))).layers[0].table == TABLE
    assert "integer_keys" not in keras.layers.serialize(Holds({"1": 2}))


def test_in_keras_they_are_text_as_ever(tmp_path):
    path = tmp_path / "m.keras"
    model(Holds({1: {2: 3}})).save(path)
    found = real.saving.load_model(path)
    assert found.layers[0].table == {"1": {"2": 3}}
    found.save(path)
    assert keras.saving.load_model(path).layers[0].table == {"1": {"2": 3}}


def test_keys_that_json_cannot_have(tmp_path):
    place = f"save(filepath={str(tmp_path / 'm.keras')!r})"
    refused(
        lambda: model(Holds({1: 2, "1": 3})).save(tmp_path / "m.keras"), ValueError,
        "a config: table: expected keys that differ as text, found 1 and '1'; use keys of one "
        "type.",
    )  # fmt: skip
    refused(
        lambda: model(Holds({1: 2, (1, 2): 3})).save(tmp_path / "m.keras"), ValueError,
        f"{place}: config['config']['layers'][1]['config']['table'][(1, 2)]: expected numbers, "
        "strings, lists and dicts, found a key of type tuple; return it as such from get_config, "
        "and undo that in from_config.",
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("paths", [
    3, ["table"], [[]], [["table", None]], [["table", "x"]], [["table", ["1"]]], [["table"]],
    [["table", "9" * 50]], {"table": "1"},
], ids=str)  # fmt: skip
def test_what_a_file_may_not_say(paths):
    config = keras.layers.serialize(Holds({1: 2, "x": 3}))
    config["integer_keys"] = paths
    with pytest.raises(keras.errors.StepfitError, match="integer_keys of Holds: expected "):
        keras.layers.deserialize(config)


def test_paths_that_lead_nowhere():
    config = keras.layers.serialize(Holds({"1": np.float32(2.0)}))
    config["integer_keys"] = [["table", "1", "2"], ["none", "3"], ["table", "7"]]
    assert keras.layers.deserialize(config).table == {"1": 2.0}
