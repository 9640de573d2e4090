"""Registration by name, and configs derived from the constructor's signature."""

import numpy as np
import pytest

import stepfit
from stepfit.core import registry
from tests.expect import refused

register = stepfit.saving.register_keras_serializable


@pytest.fixture(autouse=True)
def restore():
    before = dict(registry._custom), dict(registry._function_names)
    yield
    registry._custom.clear()
    registry._custom.update(before[0])
    registry._function_names.clear()
    registry._function_names.update(before[1])


def test_registered_functions_are_known_by_name():
    @register(package="mine")
    def swish2(x):
        return x * 2

    assert registry.get_registered_name(swish2) == "mine>swish2"
    for name in ("mine>swish2", "swish2"):
        assert registry.get_registered_object(name) is swish2
        assert stepfit.activations.get(name) is swish2
    layer = stepfit.layers.Dense(2, activation=swish2)
    assert layer.get_config()["activation"] == "mine>swish2"
    assert stepfit.layers.Dense.from_config(layer.get_config()).activation is swish2


def test_names_can_be_given():
    @register("mine", name="other")
    class Thing:
        pass

    assert registry.get_registered_name(Thing) == "mine>other"
    assert registry.get_registered_object("mine>other") is Thing
    assert registry.get_registered_object("Thing") is None

    class Child(Thing):
        pass

    assert registry.get_registered_name(Child) == "Child"  # a registration is not inherited


def test_registering_again_replaces():
    def make():
        @register("mine")
        def f(x):
            return x

        return f

    old, new = make(), make()
    assert registry.get_registered_object("mine>f") is registry.get_registered_object("f") is new
    assert registry.get_registered_name(old) == "f"


def test_packages_keep_names_apart():
    @register("a")
    def g():
        return 1

    first = g

    @register("b")
    def g():
        return 2

    assert registry.get_registered_object("a>g") is first
    assert registry.get_registered_object("b>g") is g
    assert registry.get_registered_object("g") is first


@register("tests")
class Scaled(stepfit.layers.Layer):
    def __init__(self, units, scale=2.0, *, inner=None, table=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.scale, self.inner, self.table = units, scale, inner, table

    def call(self, x):
        return x * self.scale


def test_configs_come_from_the_signature():
    layer = Scaled(3, name="s", trainable=False)
    assert layer.get_config() == {
        "units": 3, "scale": 2.0, "inner": None, "table": None, "name": "s", "trainable": False,
        "dtype": "float32",
    }  # fmt: skip
    again = Scaled.from_config(layer.get_config())
    assert (again.units, again.scale, again.name, again.trainable) == (3, 2.0, "s", False)


def test_configs_follow_what_changes():
    layer = Scaled(3)
    layer.trainable = False
    assert layer.get_config()["trainable"] is False


def test_nested_objects_are_rebuilt():
    dense = stepfit.layers.Dense(4, kernel_regularizer="l2", name="in")
    layer = Scaled(1, inner=[dense, (Scaled(2), None)], table={"d": dense, "n": np.int64(3)})
    config = layer.get_config()
    assert config["inner"][0]["class_name"] == "Dense" and config["table"]["n"] == 3
    again = Scaled.from_config(config)
    assert type(again.inner) is list and type(again.inner[1]) is tuple
    assert isinstance(again.inner[0], stepfit.layers.Dense) and again.inner[0].units == 4
    assert isinstance(again.inner[1][0], Scaled) and again.inner[1][0].units == 2
    assert isinstance(again.table["d"].kernel_regularizer, stepfit.regularizers.L2)


def test_configs_are_plain_data():
    import json

    layer = Scaled(1, inner=stepfit.layers.Dense(4, activation="relu", dtype="mixed_bfloat16"))
    again = Scaled.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.inner.activation is stepfit.activations.relu
    assert again.inner.compute_dtype == "bfloat16"


def test_a_get_config_of_the_users_own():
    @register("tests")
    class Own(stepfit.layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.double = 2 * width

        def get_config(self):
            return {**super().get_config(), "width": self.double // 2}

    layer = Own(width=3, name="o")
    assert Own.from_config(layer.get_config()).double == 6


def test_subclasses_that_hide_base_arguments():
    class Fixed(stepfit.layers.Layer):
        def __init__(self, width=2):
            super().__init__(name="fixed")
            self.width = width

    layer = Fixed(5)
    assert layer.get_config() == {"width": 5}
    assert Fixed.from_config(layer.get_config()).width == 5


def test_unknown_classes_are_named():
    config = {"class_name": "Dens", "config": {"units": 1}}
    refused(
        lambda: registry.deserialize(config), ValueError,
        "config['class_name']: expected the name of a registered class, found 'Dens'; did you mean "
        "'Dense'? A class of your own: decorate it with "
        "@keras.saving.register_keras_serializable(), or pass it in custom_objects.",
    )  # fmt: skip


class Spice:
    def __init__(self, heat=1):
        self.heat = heat

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_catalogues():
    spices = registry.Catalogue("spice", {"pepper": Spice, "salt": len}, base=Spice)
    assert registry.catalogue("spice") is spices
    del registry._catalogues["spice"]
    assert spices.get(None) is None and spices.get("salt") is len
    assert isinstance(spices.get("pepper"), Spice)
    given = Spice(3)
    assert spices.get(given) is given and spices.get(max) is max
    assert spices.get({"class_name": "pepper", "config": {"heat": 9}}).heat == 9
    refused(
        lambda: spices.get("peper"), ValueError,
        "spice: expected the name of a spice, found 'peper'; did you mean 'pepper'?",
    )  # fmt: skip
    refused(
        lambda: spices.get("zzz", "compile(spice)"), ValueError,
        "compile(spice): expected the name of a spice, found 'zzz'; known names: 'pepper', 'salt'.",
    )  # fmt: skip
    refused(
        lambda: spices.get(Spice), TypeError,
        "spice: expected a spice instance, found the class Spice; write Spice(...).",
    )  # fmt: skip
    refused(
        lambda: spices.get(3), TypeError,
        "spice: expected a spice, its name, or a callable, found 3.",
    )  # fmt: skip
