"""Pipeline: layers that prepare data, one after another."""

from stepfit.core import errors
from stepfit.layers.layer import Layer
from stepfit.layers.preprocessing.base import DataLayer
from stepfit.layers.signature import masks_of


class Pipeline(DataLayer):
    """Calls layers in order; for data pipelines, where `Sequential` is for models.

    Args:
        layers: list of layers.
        name: name; default automatic.

    `training` is True by default, so random layers draw; the layers are given it, and masks.

    >>> import numpy as np, stepfit as keras
    >>> steps = [keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=0.5, variance=1)]
    >>> keras.layers.Pipeline(steps)(np.array([[255.0]])).tolist()
    [[0.5]]
    """

    _convert_input_args = False

    def __init__(self, layers, name=None):
        super().__init__(name=name)
        if not isinstance(layers, (list, tuple)):
            raise errors.bad_type("Pipeline(layers)", "a list of layers", layers)
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise errors.bad_type(f"Pipeline(layers[{i}])", "a layer", layer)
        self._pipeline_layers = list(layers)

    @property
    def layers(self):
        """The layers, in order."""
        return self._pipeline_layers

    def call(self, inputs, training=True, mask=None):
        for layer, given in self._steps(training):
            if layer._signature.takes_mask and mask is not None:
                given["mask"] = mask
            inputs = layer(inputs, **given)
            mask = masks_of(inputs)
        return inputs

    def on_host(self, inputs, training=True, mask=None):
        for layer, given in self._steps(training):
            run = layer.on_host if isinstance(layer, DataLayer) else layer
            inputs = run(inputs, **given)
        return inputs

    def pipeline_spec(self, inputs, training=True, mask=None):
        for layer, given in self._steps(training):
            known = isinstance(layer, DataLayer)
            inputs = (layer.pipeline_spec if known else layer.compute_output_spec)(inputs, **given)
        return inputs

    def compute_output_spec(self, inputs, training=True, mask=None):
        for layer, given in self._steps(training):
            inputs = layer.compute_output_spec(inputs, **given)
        return inputs

    def _steps(self, training):
        """Return each layer with the arguments that it takes."""
        return [
            (layer, {"training": training} if layer._signature.takes_training else {})
            for layer in self._pipeline_layers
        ]
