"""What TensorBoard shows of a model beside curves: its graph, its weights as images, embeddings."""

import os

import numpy as np

from stepfit.callbacks.event_files import load
from stepfit.core import errors
from stepfit.utils import optional
from stepfit.utils.atomic import atomic_write

_MOST_IMAGES = 16  # of one weight


def graph_of(model):
    """Return a `GraphDef` with one node per call of a layer or operation.

    A model that is not made of symbolic inputs and outputs has a node per layer, and no edges.
    """
    graph = load("compat.proto.graph_pb2").GraphDef()
    inner = getattr(model, "_graph", None)
    if inner is None:
        for layer in model.layers:
            graph.node.add(name=f"{model.name}/{layer.name}", op=type(layer).__name__)
        return graph
    names: dict[int, str] = {}  # id of a tensor -> node it comes from
    calls: dict[str, int] = {}
    for tensor in inner.input_tensors:
        name = f"{model.name}/{inner.source(tensor).operation.name}"
        names[id(tensor)] = name
        _shape_of(graph.node.add(name=name, op="Input"), [tensor])
    for node in inner.nodes:
        name = f"{model.name}/{node.operation.name}"
        calls[name] = calls.get(name, 0) + 1
        if calls[name] > 1:  # a layer that is called again
            name = f"{name}_call_{calls[name]}"
        made = graph.node.add(name=name, op=type(node.operation).__name__)
        made.input.extend(names[id(t)] for t in node.input_tensors)
        _shape_of(made, node.output_tensors)
        names.update((id(t), name) for t in node.output_tensors)
    return graph


def _shape_of(node, tensors):
    shapes = node.attr["_output_shapes"].list
    for tensor in tensors:
        shape = shapes.shape.add()
        for size in tensor.shape:
            shape.dim.add(size=-1 if size is None else size)


def images_of(weight):
    """Return a weight as images (uint8, (number, height, width, 1)), or None for too many axes.

    A vector and a matrix are one image, wider than high; three axes are one image per last index; a
    convolution's kernel is one image of its tiles: a row per input channel, a column per filter.
    """
    array = np.squeeze(np.asarray(weight, "float32"))
    if array.size == 0 or array.ndim > 4:
        return None
    if array.ndim == 4:
        height, width, inputs, filters = array.shape
        array = array.transpose(2, 0, 3, 1).reshape(inputs * height, filters * width)
    if array.ndim < 3:
        array = np.atleast_2d(array)
        array = array.T if array.shape[0] > array.shape[1] else array
        array = array[..., None]
    array = np.moveaxis(array, -1, 0)[:_MOST_IMAGES]
    finite = np.where(np.isfinite(array), array, 0)
    low, high = finite.min(), finite.max()
    scaled = (finite - low) / (high - low if high > low else 1)
    return np.round(scaled * 255).astype("uint8")[..., None]


class Embeddings:
    """Writes embedding tables for TensorBoard's projector.

    Args:
        log_dir: folder of the logs.
        metadata: path of a file with labels, relative to `log_dir`, or a dict from the name of an
            embedding layer to one, or None.
        layers: layers of the model; those that are embeddings count.
    """

    def __init__(self, log_dir, metadata, layers):
        self._log_dir = log_dir
        self._layers = [
            layer for layer in layers
            if any(kind.__name__ == "Embedding" for kind in type(layer).__mro__)
        ]  # fmt: skip
        names = [layer.name for layer in self._layers]
        for name in metadata if isinstance(metadata, dict) else ():
            if name not in names:
                where = "TensorBoard(embeddings_metadata)"
                raise errors.unknown_name(where, "embedding layer", name, names)
        config = load("plugins.projector.projector_config_pb2").ProjectorConfig()
        for name in names:
            path = metadata.get(name) if isinstance(metadata, dict) else metadata
            config.embeddings.add(
                tensor_name=name, tensor_path=f"embeddings/{name}.tsv",
                metadata_path=None if path is None else os.fspath(path),
            )  # fmt: skip
        text_format = optional.load("google.protobuf.text_format", "TensorBoard", "tensorboard")
        with atomic_write(os.path.join(log_dir, "projector_config.pbtxt"), "w") as file:
            file.write(text_format.MessageToString(config))

    def write(self):
        """Write the tables as they are now."""
        for layer in self._layers:
            path = os.path.join(self._log_dir, "embeddings", f"{layer.name}.tsv")
            with atomic_write(path, "w") as file:
                np.savetxt(file, layer.weights[0].numpy(), fmt="%.7g", delimiter="\t")
