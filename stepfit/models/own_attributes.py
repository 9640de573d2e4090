"""Attributes that a model's graph gives, and that a model without a graph may have of its own.

In Keras a subclassed model may keep anything in `self.input_shape`, `self.inputs` and the like.
"""

from stepfit.core import errors

NAMES = ("inputs", "outputs", "input_shape", "output_shape", "input_names", "output_names",
         "operations")  # fmt: skip


def settable(name, of_graph):
    """Return a property that reads what was set, or else what the graph gives.

    Args:
        name: name of the attribute.
        of_graph: property that reads it from the graph.
    """

    def read(self):
        held = vars(self)
        return held[name] if name in held else of_graph.fget(self)

    def write(self, value):
        if self._graph is not None or hasattr(self, "_stack"):
            raise errors.cannot_be_set(f"{type(self).__name__}.{name}", name)
        vars(self)[name] = value

    read.__annotations__ = of_graph.fget.__annotations__
    return property(read, write, doc=of_graph.__doc__)
