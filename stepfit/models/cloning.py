"""Models like another one, with layers and weights of their own."""

from typing import Any

from stepfit.core import errors, symbolic
from stepfit.core.op import record
from stepfit.layers.input_layer import Input, InputLayer
from stepfit.models.functional import Functional
from stepfit.models.graph import Graph, note_outputs
from stepfit.models.sequential import Sequential


def clone_model(
    model, input_tensors=None, clone_function=None, call_function=None, recursive=False, **kwargs
):
    """Return a model with the same architecture, and new weights.

    Args:
        model: a model. A subclassed one is made anew from its config.
        input_tensors: symbolic inputs to build on, like `model.inputs`; default new ones.
        clone_function: function from a layer to its clone; default: made from its config.
        call_function: function ``(layer, *args, **kwargs)`` that calls a cloned layer.
        recursive: whether `clone_function` is applied inside nested models, too.

    Raises:
        ValueError: these arguments for a model without a graph; inputs of another number.

    >>> import stepfit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> keras.models.clone_model(model).output_shape
    (None, 3)
    """
    for name in kwargs:
        raise errors.unknown_argument("clone_model(...)", name, ("model", "input_tensors"))
    special = clone_function is not None or call_function is not None or input_tensors is not None
    if not special:
        clone = type(model).from_config(model.get_config())
        if not clone.built and model.get_build_config():
            clone.build_from_config(model.get_build_config())
        return clone
    if model._graph is None and not isinstance(model, Sequential):
        raise errors.bad_value(
            "clone_model(model)", "a Sequential or functional model, with these arguments",
            f"{type(model).__name__} {model.name!r}",
        )  # fmt: skip
    clone_one = clone_function or (lambda layer: type(layer).from_config(layer.get_config()))

    def clone_layer(layer):
        if recursive and getattr(layer, "_graph", None) is not None:
            return clone_model(layer, None, clone_function, call_function, True)
        return clone_one(layer)

    if isinstance(model, Sequential):
        layers = [clone_layer(layer) for layer in model.layers]
        first = _only(input_tensors) if input_tensors is not None else model._source
        inputs = [] if first is None else [_new_input(first) if input_tensors is None else first]
        return Sequential([*inputs, *layers], name=model.name)
    return _clone_graph(model, input_tensors, clone_layer, call_function)


def _clone_graph(model, input_tensors, clone_layer, call_function):
    graph: Graph = model._graph
    given = symbolic.symbolic_leaves(input_tensors) if input_tensors is not None else None
    if given is not None and len(given) != len(graph.input_tensors):
        raise errors.bad_value(
            "clone_model(input_tensors)", f"{len(graph.input_tensors)} tensors", f"{len(given)}"
        )
    new = given or [_new_input(t) for t in graph.input_tensors]
    values = {id(t): n for t, n in zip(graph.input_tensors, new, strict=True)}
    clones: dict[int, Any] = {}

    def get(tensor):
        return values[id(tensor)]

    for node in graph.nodes:
        operation = node.operation
        if id(operation) not in clones:
            is_layer = hasattr(operation, "get_config")
            clones[id(operation)] = clone_layer(operation) if is_layer else operation
        args, kwargs = symbolic.map_tensors(get, (node.args, node.kwargs))
        clone = clones[id(operation)]
        if call_function is not None and hasattr(operation, "get_config"):
            result = call_function(clone, *args, **kwargs)
        elif hasattr(operation, "get_config"):
            result = clone(*args, **kwargs)
        else:
            result = record(operation.fn, operation.fn.__name__, args, kwargs)
        note_outputs(node.outputs, result, values)
    inputs = symbolic.map_tensors(get, graph.inputs)
    outputs = symbolic.map_tensors(get, graph.outputs)
    return Functional(inputs, outputs, name=model.name)


def _only(tensors):
    found = symbolic.symbolic_leaves(tensors)
    if len(found) != 1:
        raise errors.bad_value("clone_model(input_tensors)", "one tensor", f"{len(found)}")
    return found[0]


def _new_input(tensor):
    operation = tensor.node.operation
    name = operation.name if isinstance(operation, InputLayer) else None
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
