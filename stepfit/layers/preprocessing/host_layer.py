"""HostLayer: a layer whose work is no matter of JAX: strings, hashes, 64-bit integers."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, symbolic
from stepfit.layers.preprocessing.base import DataLayer


class HostLayer(DataLayer):
    """A layer whose maths is `on_host`, with NumPy; subclasses also give `compute_output_shape`.

    Given values it returns a JAX array. In compiled code, where there are numbers and no strings,
    it is called back from the device, unless a subclass has a form for JAX.

    Attributes:
        output_dtype: of the result; 64-bit integers become what JAX has, but in the graph of a
            TensorFlow dataset.
    """

    _convert_input_args = False  # strings are no arrays, and 64-bit integers stay what they are
    _looks_at_values = True

    output_dtype = "int64"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True  # it has no variables

    def on_host(self, inputs):
        """Return the output for inputs as they came, as a NumPy array."""
        raise NotImplementedError(f"{type(self).__name__} must define on_host(inputs)")

    def in_jax(self, inputs):
        """Return the output for traced arrays."""
        shape = self.compute_output_shape(_shapes(inputs))
        spec = jax.ShapeDtypeStruct(shape, dtypes.jax_dtype(self.output_dtype))
        run = lambda x: np.asarray(self.on_host(jax.tree.map(np.asarray, x)), spec.dtype)
        return jax.pure_callback(run, spec, inputs, vmap_method="sequential")

    def check_usable(self):
        """Raise if the layer lacks what `adapt` would have learned."""

    def call(self, inputs):
        self.check_usable()
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(inputs)):
            return self.in_jax(inputs)
        result = self.on_host(inputs)
        if result.dtype.kind in "OUS":  # strings: JAX has none
            return result
        return jnp.asarray(result, dtypes.jax_dtype(result.dtype.name))

    def compute_output_spec(self, inputs):
        spec = self.pipeline_spec(inputs, check=False)
        if spec.dtype != "string":
            spec.dtype = dtypes.jax_dtype(spec.dtype).name
        return spec

    def pipeline_spec(self, inputs, check=True):
        if check:
            self.check_usable()
        shape = self.compute_output_shape(_shapes(inputs))
        return symbolic.KerasTensor(shape, self.output_dtype)


def _shapes(inputs):
    """Return the shape of an array, or a list of those of a list's arrays."""
    if isinstance(inputs, (list, tuple)):
        return [tuple(x.shape) for x in inputs]
    return tuple(inputs.shape)
