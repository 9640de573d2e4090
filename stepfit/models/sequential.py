"""Sequential: a model that is a list of layers."""

import inspect
from collections.abc import Iterable
from typing import Any

from stepfit.core import deferral, errors, naming, registry, symbolic
from stepfit.layers import Function
from stepfit.layers.input_layer import Input, InputLayer
from stepfit.layers.layer import Layer, as_shapes
from stepfit.models.graph import Graph
from stepfit.models.model import Model


class Sequential(Model):
    """A linear stack of layers, each fed the output of the one before.

    Args:
        layers: list of layers, `Input`s, or plain functions of arrays (wrapped in
            `layers.Function`).
        trainable: whether the variables are updated in training.
        name: name; default automatic.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(
        self,
        layers: Iterable[Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ):
        super().__init__(trainable=trainable, name=name, autocast=False)  # its layers do that
        self._stack: list[Layer] = []
        self._tensor: Any = None  # the symbolic output so far
        self._source: Any = None
        for layer in layers or []:
            self._append(layer)
        self._finish()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer.

        Args:
            layer: a layer, an `Input`, or a plain function of arrays.
        """
        self._append(layer)
        if rebuild:
            self._finish()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it."""
        if not self._stack:
            raise errors.StepfitValueError(f"{self._where()} pop: there is no layer to remove.")
        layer = self._stack.pop()
        if isinstance(layer, InputLayer):
            self._source = self._tensor = None
        elif self._source is not None:
            self._tensor = self._source
            for kept in self.layers:
                self._tensor = kept(self._tensor)
        self._finish()
        return layer

    def _append(self, layer):
        if isinstance(layer, symbolic.KerasTensor):
            layer = layer.node.operation
        if not isinstance(layer, Layer):
            if callable(layer) and not isinstance(layer, type):
                layer = Function(layer)
            else:
                raise errors.bad_type(
                    f"{self._where()} layers[{len(self._stack)}]", "a layer instance", layer,
                    f"write {layer.__name__}(...)" if isinstance(layer, type) else None,
                )  # fmt: skip
        if any(layer.name == other.name for other in self._stack):
            raise errors.bad_value(
                f"{self._where()} layers", "names that differ", f"{layer.name!r} twice",
                "pass name= to one of them",
            )  # fmt: skip
        if isinstance(layer, InputLayer):
            if self._stack:
                raise errors.bad_value(
                    f"{self._where()} layers[{len(self._stack)}]", "an Input only at the start",
                    f"{layer.name!r} after {self._stack[-1].name!r}",
                )  # fmt: skip
            self._source = self._tensor = layer.output
        elif not self._stack and layer._input_shape_argument is not None:
            self._source = Input(layer._input_shape_argument)
            self._tensor = self._call_layer(layer, self._source)
        elif self._tensor is not None:
            self._tensor = self._call_layer(layer, self._tensor)
        self._stack.append(layer)

    def _call_layer(self, layer, tensor):
        with naming.name_scope(self.name):
            return layer(tensor)

    def _finish(self):
        """Have the graph be the one of the layers there are now."""
        self._graph = None
        self.built = False
        if self._tensor is not None and self.layers:
            self._graph = Graph(self._source, self._tensor, self._where())
            self.built = True
        self._changed()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def get_config(self) -> dict[str, Any]:
        """Return the layers as plain data."""
        if not _is_stack(type(self)):
            return registry.Configurable.get_config(self)
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable,
                                  "dtype": registry.serialize(self.dtype_policy)}  # fmt: skip
        layers = list(self._stack)
        if self._source is not None and layers and not isinstance(layers[0], InputLayer):
            layers.insert(0, self._source.node.operation)
        config["layers"] = [registry.serialize(layer) for layer in layers]
        if self._source is not None:
            config["build_input_shape"] = self._source.shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        """Build a model from `get_config`'s result, with new weights."""
        if "layers" not in config or not _is_stack(cls):
            return super().from_config(config, custom_objects)
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with deferral.deferring(finish=False):  # values are made when they are first used
            model._add_configs(config, custom_objects)
        return model

    def _add_configs(self, config, custom_objects):
        for layer in config["layers"]:
            # Built when they are called: what the config says of shapes is not needed.
            if not isinstance(layer, dict):
                where = f"{self._where()} config layers"
                raise errors.bad_type(where, "configs of layers", errors.describe(layer))
            keeps = str(layer.get("module")).partition(".")[0] != "keras"
            layer = {k: v for k, v in layer.items() if keeps or k != "build_config"}
            self._append(registry.deserialize(layer, custom_objects, "layer"))
        self._finish()
        shape = config.get("build_input_shape")
        if self._graph is None and self.layers and shape:
            self.build(as_shapes(shape))

    def build(self, input_shape: Any = None) -> None:
        """Make every layer's variables for an input shape with the batch axis.

        Args:
            input_shape: tuple such as ``(None, 28, 28, 1)``.
        """
        with naming.name_scope(self.name):
            self._build_chain(input_shape, None)

    setattr(build, "by_calling", True)  # noqa: B010

    def _build_chain(self, input_shape, dtype):
        if self._graph is not None:
            return
        if not self.layers:
            raise errors.StepfitValueError(
                f"{self._where()}: expected at least one layer, found none; use add(layer)."
            )
        if input_shape is None:
            raise errors.bad_value(f"{self._where()} build(input_shape)", "a tuple", "None")
        source = Input(batch_shape=input_shape, dtype=dtype)
        tensor = source
        for layer in self.layers:
            tensor = layer(tensor)
        self._source, self._tensor = source, tensor
        self._finish()

    def _call_build(self, shapes, arguments):
        first = arguments.first
        shape = shapes and next(iter(shapes.values()))
        if not isinstance(shape, tuple) or (shape and isinstance(shape[0], tuple)):
            raise errors.bad_value(f"{self._where()} inputs", "one array", errors.describe(first))
        if symbolic.is_symbolic(first):
            dtype = first.dtype
        else:
            dtype = "string" if first.dtype.kind in "OUS" else first.dtype.name
        self._build_chain((None, *shape[1:]), dtype)
        if self._graph is not None:
            self._graph.any_size = True  # nobody said that the sizes of the first input are meant

    def call(self, inputs, training=None, mask=None):
        """Run the layers in order."""
        return self._require_graph("graph").run(inputs)


def _is_stack(cls):
    """Say whether a class is made from a list of layers, as `Sequential` is."""
    names = list(inspect.signature(cls.__init__).parameters)
    return cls.__init__ is Sequential.__init__ or names[1:4] == ["layers", "trainable", "name"]
