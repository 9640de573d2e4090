"""The graph of a model as a drawing, by pydot and Graphviz."""

import html
import os
import pathlib
from typing import Any

from stepfit import tree
from stepfit.core import errors
from stepfit.core.symbolic import symbolic_leaves
from stepfit.utils import optional
from stepfit.utils.atomic import atomic_write


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Return the graph of a model's layers and operations as a `pydot.Dot`.

    Args:
        model: a built model. One that is neither Functional nor Sequential is a single box.
        show_shapes, show_dtype: whether to say the shapes, and the dtype of the output.
        show_layer_names: whether to say the layers' names beside their classes.
        rankdir: "TB" from top to bottom, "LR" from left to right.
        expand_nested: whether to draw models inside the model as boxes of boxes.
        dpi: dots per inch.
        subgraph: return a `pydot.Cluster`, to be put into another graph.
        show_layer_activations: whether to say the activations.
        show_trainable: whether to say which layers with weights are trained.
        splines: how lines are drawn: "ortho", "curved", "polyline", "spline" or "line".

    >>> import stepfit as keras
    >>> inputs = keras.Input((3,))
    >>> model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    >>> dot = keras.utils.model_to_dot(model)
    >>> len(dot.get_nodes()), len(dot.get_edges())  # the default of all nodes counts as one
    (3, 1)
    """
    pydot = optional.load("pydot", "model_to_dot", "plot")
    known = ("show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi",
             "subgraph", "show_layer_activations", "show_trainable", "splines")  # fmt: skip
    if kwargs:
        raise errors.unknown_argument("model_to_dot(...)", next(iter(kwargs)), known)
    if not model.built:
        fix = "call it on data, or build(input_shape)"
        raise errors.bad_value("model_to_dot(model)", "a model that is built", "one that is not",
                               fix)  # fmt: skip
    label = _Label(show_shapes, show_dtype, show_layer_names, show_layer_activations,
                   show_trainable)  # fmt: skip
    if subgraph:
        dot = pydot.Cluster(f"cluster_{id(model)}", style="dashed", label=model.name, labeljust="l",
                            fontname="Helvetica")  # fmt: skip
    else:
        dot = pydot.Dot(rankdir=rankdir, concentrate="true", dpi=str(dpi), splines=splines)
        dot.set_node_defaults(shape="plaintext", fontname="Helvetica", margin="0")
    _draw(pydot, dot, model, label, expand_nested)
    return dot


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw the graph of a model to a file.

    Args:
        to_file: path; its suffix names the format: ".png", ".svg", ".pdf", or ".dot", the text that
            Graphviz reads and that needs no Graphviz to be written.
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
            show_layer_activations, show_trainable, splines: as in `model_to_dot`.

    Returns:
        In a notebook the image of a ".png", to be shown there; else None.

    Raises:
        ImportError: Graphviz or pydot is not installed.
    """
    dot = model_to_dot(
        model, show_shapes=show_shapes, show_dtype=show_dtype, show_layer_names=show_layer_names,
        rankdir=rankdir, expand_nested=expand_nested, dpi=dpi, splines=splines,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable, **kwargs,
    )  # fmt: skip
    path = pathlib.Path(os.fspath(to_file))
    kind = path.suffix[1:].lower() or "png"
    if kind == "dot":
        content = dot.to_string().encode()
    else:
        try:
            content = dot.create(format=kind)
        except FileNotFoundError:
            fix = "install it (https://graphviz.org/download), or write a .dot file"
            text = errors.message("plot_model", "the program `dot` of Graphviz", "none", fix)
            raise ImportError(text) from None
    with atomic_write(path) as file:
        file.write(content)
    return _shown(path) if kind == "png" else None


def _shown(path):
    """Return the image for a notebook, or None outside of one."""
    import sys

    if "ipykernel" not in sys.modules:
        return None
    return optional.load("IPython.display", "plot_model", "plot").Image(filename=str(path))


class _Label:
    """Makes the table in the box of a layer."""

    def __init__(self, shapes, dtype, names, activations, trainable):
        self._shapes, self._dtype, self._names = shapes, dtype, names
        self._activations, self._trainable = activations, trainable

    def __call__(self, layer, node):
        cells = []
        outputs = None if node is None else node.outputs
        if self._shapes:
            if node is not None and node.input_tensors:
                cells.append(f"in: {_shape_of(node.args, node)}")
            cells.append(f"out: {_of(lambda t: t.shape, outputs)}")
        if self._dtype:
            cells.append(f"dtype: {_of(lambda t: t.dtype, outputs)}")
        activation = getattr(layer, "activation", None)
        if self._activations and activation is not None:
            name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
            cells.append(f"activation: {name or type(activation).__name__}")
        if self._trainable and getattr(layer, "weights", None):
            cells.append("trainable" if layer.trainable_variables else "frozen")
        kind = type(layer).__name__
        title = f"{layer.name} ({kind})" if self._names or kind == "OpCall" else kind
        if kind == "OpCall":
            title = layer.name
        rows = [f'<tr><td bgcolor="black"><font color="white"><b>{html.escape(title)}</b></font>'
                "</td></tr>"]  # fmt: skip
        rows += [f'<tr><td bgcolor="white">{html.escape(cell)}</td></tr>' for cell in cells]
        table = '<table border="0" cellborder="1" cellspacing="0" cellpadding="8">'
        return f"<{table}{''.join(rows)}</table>>"


def _shape_of(args, node):
    inputs = symbolic_leaves(args) or node.input_tensors
    return str(inputs[0].shape) if len(inputs) == 1 else ", ".join(str(t.shape) for t in inputs)


def _of(what, outputs):
    return "?" if outputs is None else str(tree.map_structure(what, outputs))


def _draw(pydot, dot, model, label, expand):
    """Draw the boxes of a model and the lines between them."""
    graph = getattr(model, "_graph", None)
    if graph is None and not hasattr(model, "add"):  # neither Functional nor Sequential
        dot.add_node(pydot.Node(_id(model), label=label(model, _last(model))))
        return
    if graph is None or hasattr(model, "add"):
        operations = list(model.layers)
        edges = list(zip(operations, operations[1:]))
    else:
        operations = list(graph.operations)
        edges = [(graph.source(t).operation, node.operation)
                 for node in graph.nodes for t in node.input_tensors]  # fmt: skip
    of_graph = {} if graph is None else {id(node.operation): node for node in graph.nodes}
    for operation in operations:
        if expand and _is_model(operation):
            inner = pydot.Cluster(f"cluster_{id(operation)}", style="dashed", labeljust="l",
                                  fontname="Helvetica", label=operation.name)  # fmt: skip
            _draw(pydot, inner, operation, label, expand)
            dot.add_subgraph(inner)
        else:
            node = of_graph.get(id(operation)) or _last(operation)
            dot.add_node(pydot.Node(_id(operation), label=label(operation, node)))
    seen = set()
    for source, target in edges:
        ends = (_end(source, expand, -1), _end(target, expand, 0))
        if ends not in seen:
            seen.add(ends)
            dot.add_edge(pydot.Edge(*ends, penwidth="2"))


def _end(operation, expand, side):
    """Return the box at the beginning (0) or the end (-1) of what may be a model drawn open."""
    while expand and _is_model(operation):
        graph = getattr(operation, "_graph", None)
        inner = operation.layers if graph is None or hasattr(operation, "add") else graph.operations
        operation = inner[side]
    return _id(operation)


def _is_model(operation):
    return getattr(operation, "_graph", None) is not None or (
        hasattr(operation, "add") and hasattr(operation, "layers")
    )


def _last(layer):
    nodes = getattr(layer, "_inbound_nodes", None)
    return nodes[-1] if nodes else None


def _id(operation):
    return str(id(operation))
