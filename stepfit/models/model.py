"""Model: a layer that can be trained, given by a `call` or by symbolic inputs and outputs."""

import inspect
import os
from collections.abc import Callable
from typing import Any

from stepfit.core import deferral, errors, placement, symbolic
from stepfit.layers.layer import Layer, as_shapes
from stepfit.layers.preprocessing import base as data_layers
from stepfit.models import exporting, graph_config, own_attributes
from stepfit.models.cached_call import UNCACHED, CachedCall
from stepfit.models.graph import Graph
from stepfit.models.summary import print_summary
from stepfit.saving import LoadReport, building, json_model, model_file, weights_file
from stepfit.training.trainer import Trainer


class Model(Trainer, Layer):
    """Layers with a training loop.

    Either ``Model(inputs, outputs)`` with symbolic tensors, or a subclass that holds layers in
    attributes and gives `call`, or both: a subclass called with ``(inputs, outputs)`` has the graph
    as its `call` and its own `train_step`.

    ``model(x)`` on arrays is compiled, once per shape, where a graph has only stepfit's own layers
    and functions. What a user wrote may do more than compute: it runs op by op, each time.

    Args:
        inputs: symbolic tensor, or a list, tuple or dict of them.
        outputs: structure of symbolic tensors.
        name: name; default from the class.
        trainable: whether the variables are updated in training.
        dtype: dtype or policy.

    Example:

    >>> import stepfit as keras
    >>> x = keras.Input((4,))
    >>> model = keras.Model(x, keras.layers.Dense(2)(x))
    >>> model.output_shape, model.count_params()
    ((None, 2), 10)
    """

    _functional_class: "type[Model]"
    _recomputed_whole = False
    autograph_info__ = True  # as in `DataLayer`: TensorFlow is not to rewrite what a call runs

    def __new__(cls, *args: Any, **kwargs: Any):
        if cls is Model and _is_functional(args, kwargs):
            cls = Model._functional_class
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        Trainer.__init__(self)
        self._graph: Graph | None = None
        self._cached_call = CachedCall(self)
        self._graph_layers: list[Layer] = []
        if _is_functional(args, kwargs):
            inputs, outputs, kwargs = _take_tensors(args, kwargs, type(self).__name__)
            kwargs.setdefault("autocast", False)
            Layer.__init__(self, **kwargs)
            self._graph = Graph(inputs, outputs, self._where())
            self._graph_layers, self._graph_variables = self._graph.layers, self._graph.variables
            self.built = True
        elif args:
            raise errors.bad_type(
                f"{type(self).__name__}(...)", "symbolic tensors (inputs, outputs) or keywords",
                args[0],
            )  # fmt: skip
        else:
            Layer.__init__(self, **kwargs)

    _untracked_names = (
        Layer._untracked_names | Trainer._untracked_names | {"_graph", "_cached_call"}
    )
    _unwatched_names = Layer._unwatched_names | {"history", "stop_training", "_training_now"}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._graph is not None:
            outputs = self._cached_call(args, kwargs)
            if outputs is not UNCACHED:
                return outputs
        if data_layers.has_graph_tensors((args, kwargs)):
            call = super().__call__  # on symbolic tensors it builds the model, if it is not yet
            return data_layers.in_graph(self, args, kwargs, call, self._on_host)
        return super().__call__(*args, **kwargs)

    def _on_host(self, *args, **kwargs):
        """Return the outputs for NumPy arrays, in a TensorFlow pipeline."""
        with data_layers.on_cpu():
            return self(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; given by the graph, or by the subclass."""
        if self._graph is None:
            raise errors.StepfitRuntimeError(
                f"{self._where()}: expected a `call` method or (inputs, outputs), found neither; "
                "define `def call(self, inputs): ...`."
            )
        known = ("inputs", "training", "mask")
        for name in kwargs:
            if name not in known:
                raise errors.unknown_argument(f"{self._where()} call", name, known)
        return self._graph.run(*args[:1], **{k: v for k, v in kwargs.items() if k == "inputs"})

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return `KerasTensor`s for the outputs of a call on symbolic tensors."""
        if self._graph is None or all(t.dtype != "string" for t in self._graph.input_tensors):
            return super().compute_output_spec(*args, **kwargs)
        outputs = self.call(*args, **kwargs)  # strings cannot be traced: from layer to layer
        return symbolic.map_tensors(lambda t: symbolic.KerasTensor(t.shape, t.dtype), outputs)

    def save(
        self,
        filepath: str | os.PathLike,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model to a `.keras` file; see `saving.save_model`."""
        with self._written_once() as ours:
            if ours:
                model_file.save_model(self, filepath, overwrite, zipped, **kwargs)

    def save_weights(
        self,
        filepath: str | os.PathLike,
        overwrite: bool = True,
        max_shard_size: float | None = None,
    ) -> None:
        """Write the weights to a file, atomically; see `saving.save_weights`.

        Args:
            filepath: path that ends in ".weights.h5", ".weights.json", ".safetensors" or ".npz".
            overwrite: whether a file that is there is replaced; False: it is an error.
            max_shard_size: for ".weights.json", the size of each file in GB.

        Example:

        >>> import os, tempfile, stepfit as keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.weights.h5")
        >>> model.save_weights(path)
        >>> print(model.load_weights(path))
        2 variables loaded
        """
        with self._written_once() as ours:
            if ours:
                weights_file.save_weights(self, filepath, overwrite, max_shard_size)

    def _written_once(self):
        """Return a block that says whether this process is to write, of several."""
        state = [v for o in self._optimizers() for v in o.variables]
        return placement.written_once([*self.variables, *state])

    def load_weights(
        self, filepath: str | os.PathLike, skip_mismatch: bool = False, **kwargs: Any
    ) -> LoadReport:
        """Set the weights from a file; see `saving.load_weights`.

        Args:
            filepath: a file that `save_weights`, `save`, `ModelCheckpoint` or Keras wrote.
            skip_mismatch: whether layers whose arrays do not fit, or are missing, are left alone.
            kwargs: `by_name`, `prefix` and `objects_to_skip` take parts of a file.

        Returns:
            What was loaded, and what was not.

        Raises:
            ValueError: the file is damaged or does not fit; no weight is changed then.
        """
        return weights_file.load_weights(self, filepath, skip_mismatch, **kwargs)

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "stablehlo",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write the model's inference to a file, as a program with its weights.

        `saving.load_exported` serves a StableHLO program without the code of the model. Sizes not
        known, such as the batch's, stay open.

        Args:
            filepath: path of the file; for "tf_saved_model" of a folder.
            format: "stablehlo"; "onnx" (needs ``stepfit[onnx]``), or "tf_saved_model" (needs
                ``stepfit[tensorflow]``), each run once and compared before it is there.
            input_signature: list of shapes (or tensors) of the inputs, for a model without symbolic
                ones; a dict of them by name where `call` takes a dict.

        Example:

        >>> import os, tempfile, numpy as np, stepfit as keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.exported")
        >>> model.export(path)
        >>> keras.saving.load_exported(path)(np.ones((5, 2))).shape
        (5, 3)
        """
        exporting.export(self, filepath, format, verbose, input_signature, **kwargs)

    def as_function(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return ``(function, state)``: the call as a pure JAX function, and the values it needs.

        Example:

        >>> import jax, numpy as np, stepfit as keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> function, state = model.as_function()
        >>> outputs, state = jax.jit(function)(state, np.ones((5, 2)))
        >>> outputs.shape
        (5, 3)
        """
        return exporting.as_function(self)

    def to_json(self, **kwargs: Any) -> str:
        """Return what the model is made of as JSON, for `models.model_from_json`.

        Args:
            **kwargs: arguments of `json.dumps`.
        """
        return json_model.to_json(self, **kwargs)

    def _has_call(self):
        return self._graph is not None or type(self).call is not Model.call

    def _check_savable(self, weights_only, where):
        """Refuse, before anything is trained, a model that could not be saved afterwards."""
        name = "save_weights" if weights_only else "save"
        if getattr(type(self), name) is not getattr(Model, name):
            return  # the user's own
        if weights_only:
            model_file.check_built(self, where)
        else:
            model_file.check_savable(self, where)

    def __getstate__(self):
        # The nodes first, in their order: each then refers to what is there already, and a deep
        # graph is copied and pickled without deep recursion.
        nodes = [] if self._graph is None else self._graph.nodes
        return {"_nodes": nodes, **super().__getstate__(), "_cached_call": None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        del self.__dict__["_nodes"]
        self._cached_call = CachedCall(self)

    # -- structure -------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers: of the graph, in its order, or held in attributes."""
        if self._graph is not None:
            own = self._flatten_layers(include_self=False, recursive=False)
            return list({id(layer): layer for layer in [*self._graph_layers, *own]}.values())
        return self._flatten_layers(include_self=False, recursive=False)

    @property
    def operations(self) -> list[Any]:
        """The graph's layers and operations, in its order."""
        return [] if self._graph is None else list(self._graph.operations)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return one of `layers` by name or by index."""
        if (name is None) == (index is None):
            raise errors.bad_value("get_layer(name, index)", "one of the two", "both or neither")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise errors.bad_value(
                    f"{self._where()} get_layer(index)", f"an index below {len(layers)}", str(index)
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise errors.unknown_name(
            f"{self._where()} get_layer(name)", "layer", name, [layer.name for layer in layers]
        )

    @property
    def inputs(self) -> list[symbolic.KerasTensor] | None:
        """The graph's symbolic inputs, as a list."""
        return None if self._graph is None else list(self._graph.input_tensors)

    @property
    def outputs(self) -> list[symbolic.KerasTensor] | None:
        """The graph's symbolic outputs, as a list."""
        return None if self._graph is None else list(self._graph.output_tensors)

    @property
    def input(self) -> Any:
        """The graph's symbolic inputs, in their structure."""
        return self._require_graph("input").inputs

    @property
    def output(self) -> Any:
        """The graph's symbolic outputs, in their structure."""
        return self._require_graph("output").outputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a structure of shapes."""
        return symbolic.map_tensors(lambda t: t.shape, self._require_graph("input_shape").inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a structure of shapes."""
        return symbolic.map_tensors(lambda t: t.shape, self._require_graph("output_shape").outputs)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [t.name for t in self._require_graph("input_names").input_tensors]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs: those of the layers that produce them."""
        graph = self._require_graph("output_names")
        return self._output_names() or list(graph.outputs)

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the graph as plain data; for a subclass, the constructor's arguments."""
        if self._graph is None or not _takes_tensors(type(self)):
            return super().get_config()
        return graph_config.to_config(self, _has_own_graph)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        """Build a model from `get_config`'s result, with new weights.

        Args:
            config: dict.
            custom_objects: dict from name to class or function, for those not registered.
        """
        if not (graph_config.is_graph_config(config) and _takes_tensors(cls)):
            return super().from_config(config, custom_objects)
        with deferral.deferring(finish=False):  # values are made when they are first used
            inputs, outputs = graph_config.from_config(config, custom_objects)
        options = {k: config[k] for k in ("name", "trainable") if config.get(k) is not None}
        return cls(inputs=inputs, outputs=outputs, **options)

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the input shapes that the model was built for, None for one not built.

        For a model that was trained and never called: those of the layers that it holds.
        """
        found = super().get_build_config()
        without_build = type(self).build is Model.build or not self._has_call()
        if self.built and self._graph is None and self._build_shapes is None and without_build:
            return {"layers": building.shapes_of_layers(self)}
        return found

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the model for the shapes that `get_build_config` returned."""
        config = config or {}
        shapes = config.get("shapes_dict")
        if "layers" in config:
            building.build_layers(self, config["layers"])
            self.built = True
        elif not self._has_call() and type(self).build is Model.build:
            self.built = bool(self.weights)  # its layers have them, or nobody can make them
        elif shapes is None or type(self).build is not Model.build:
            super().build_from_config(config)
        elif not self.built:
            self.compute_output_shape(**{k: as_shapes(v) for k, v in shapes.items()})
            self.built = True

    def _require_graph(self, what) -> Graph:
        if self._graph is None:
            raise errors.StepfitAttributeError(
                f"{self._where()} has no {what!r}: it is not made of symbolic inputs and outputs, "
                "or not built yet."
            )
        return self._graph

    # -- building ----------------------------------------------------------------------------------

    _built = False  # for classes that have a `built` of their own

    @property
    def built(self) -> bool:
        """Whether the variables are there.

        A model without `call` is built when its layers are, and when its own step has run.
        """
        return self._built or (not self._has_call() and self._layers_are_built())

    @built.setter
    def built(self, value: bool) -> None:
        self._built = bool(value)

    def _layers_are_built(self):
        layers = self._flatten_layers(include_self=False)
        own = type(self).build is not Model.build
        return not own and bool(self.weights) and all(layer.built for layer in layers)

    def _count_as_built(self):
        """Count a model as built that has what its step uses, though nobody called the model."""
        if not self._built and (not self._has_call() or type(self).build is Model.build):
            self.__dict__["_built"] = True  # past __setattr__: what was traced stays right

    def _forget_call(self):
        """Forget a call that failed: what it was given is not what the model is built for."""
        if type(self).build is Model.build and self._graph is None:
            self.__dict__["_built"], self._build_shapes = False, None

    def build(self, input_shape: Any = None) -> None:
        """Make every variable for input shape(s) with the batch axis, computing nothing.

        Args:
            input_shape: tuple with None for sizes not known, or a structure of tuples.
        """
        self._check_ready()
        if self.built or self._building or type(self).build is not Model.build:
            return
        if input_shape is None:
            raise errors.bad_value(f"{self._where()} build(input_shape)", "a tuple", "None")
        if not self._has_call() and self._flatten_layers(include_self=False):
            found, fix = self._what_is_missing()
            expected = "a `call` method, or layers that are built"
            raise errors.bad_value(f"{self._where()} build(input_shape)", expected, found, fix)
        self._building = True
        try:
            self.compute_output_shape(input_shape)
        finally:
            self._building = False
        self.built = True

    setattr(build, "by_calling", True)  # noqa: B010
    _building = False

    def _call_build(self, shapes, arguments):
        if type(self).build is not Model.build:
            super()._call_build(shapes, arguments)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[..., Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers, their output shapes and their numbers of parameters.

        Args:
            line_length: columns; default the terminal's, at most 100.
            print_fn: function that is given the text; default prints.
            expand_nested: whether layers of nested models are listed.
            show_trainable: whether a column says which layers are trained.
        """
        print_summary(
            self, line_length=line_length, print_fn=print_fn, expand_nested=expand_nested,
            show_trainable=show_trainable,
        )  # fmt: skip


for _name in own_attributes.NAMES:
    setattr(Model, _name, own_attributes.settable(_name, vars(Model)[_name]))


def _takes_tensors(cls):
    """Say whether a class is made from symbolic inputs and outputs, as `Model` is."""
    init = inspect.signature(cls.__init__).parameters.values()
    kinds = {p.kind for p in init}
    both = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return both <= kinds or [p.name for p in init][1:3] == ["inputs", "outputs"]


def _has_own_graph(operation):
    """Say whether an operation is a model with a graph, in Keras a `Functional`."""
    graph = getattr(operation, "_graph", None)
    return graph is not None and not hasattr(operation, "_stack")


def _is_functional(args, kwargs):
    if "inputs" in kwargs and "outputs" in kwargs:
        return True
    if args and symbolic.symbolic_leaves(args[0]):
        return len(args) > 1 or "outputs" in kwargs
    return False


def _take_tensors(args, kwargs, cls):
    kwargs = dict(kwargs)
    given = list(args)
    inputs = given.pop(0) if given else kwargs.pop("inputs")
    outputs = given.pop(0) if given else kwargs.pop("outputs")
    if given:
        kwargs.setdefault("name", given.pop(0))
    if given:
        raise errors.bad_type(f"{cls}(...)", "(inputs, outputs, name)", f"{len(args)} arguments")
    return inputs, outputs, kwargs
