"""Functional: a model given by its symbolic inputs and outputs."""

from stepfit.models.model import Model


class Functional(Model):
    """A model made of the layers between symbolic inputs and outputs.

    ``Model(inputs, outputs)`` makes one.

    Args:
        inputs: symbolic tensor, or a list, tuple or dict of them.
        outputs: structure of symbolic tensors.
        name: name; default automatic.
    """

    def __init__(self, inputs, outputs, name=None, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)


Model._functional_class = Functional
