"""`DataLayer`: the base of layers that prepare data, wherever the data is.

Such a layer is called in three places:

- *in a model*, on symbolic tensors and traced arrays: it is a layer like any other;
- *alone*, on NumPy or JAX arrays, in any thread: in a loop, a dataset's ``__getitem__``, or
  ``grain.MapDataset.map(layer)``. It returns JAX arrays. In threads other than the main one, which
  is where loaders work, NumPy arrays are handled by the CPU, so that no accelerator is disturbed;
- *in the graph of a TensorFlow dataset*, ``tf.data.Dataset.map(layer)``: the layer becomes one
  operation of that graph, with the shapes and dtypes that `pipeline_spec` finds, and its work is
  done by `on_host`. A model becomes one operation as a whole (`in_graph`). TensorFlow is only
  touched if somebody has imported it.

A subclass gives `call` as usual. If its work is no matter of JAX (strings), it also gives `on_host`
and, where outputs there differ from those in a model, `pipeline_spec`. A layer that draws random
numbers takes its keys from `draw`, which gives different ones to different threads.
"""

import contextlib
import sys
import threading

import jax
import numpy as np

from stepfit import random
from stepfit.core import errors, symbolic
from stepfit.layers.layer import Layer

_drawing = threading.Lock()


class DataLayer(Layer):
    """Base of layers that work in a model, alone, and in data pipelines.

    >>> import numpy as np, stepfit as keras
    >>> issubclass(keras.layers.Rescaling, keras.layers.Layer)
    True
    >>> keras.layers.Resizing(2, 2)(np.zeros((4, 4, 3), "uint8")).shape
    (2, 2, 3)
    """

    # The mark that `tf.autograph.experimental.do_not_convert` leaves: without it, TensorFlow
    # rewrites all code that a call runs through, JAX's too, which takes it half a minute.
    autograph_info__ = True

    def on_host(self, *args, **kwargs):
        """Return the outputs for NumPy arrays, in a TensorFlow pipeline; arrays of any library."""
        with on_cpu():
            return super().__call__(*args, **kwargs)

    def pipeline_spec(self, *args, **kwargs):
        """Return symbolic tensors for the outputs in a TensorFlow pipeline, given the inputs'."""
        return self.compute_output_spec(*args, **kwargs)

    def __call__(self, *args, **kwargs):
        if has_graph_tensors((args, kwargs)):
            return in_graph(self, args, kwargs, self.pipeline_spec, self.on_host)
        if _in_worker() and _has_numpy((args, kwargs)):
            with on_cpu():
                return super().__call__(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def draw(generator):
    """Return the next key of a generator, another one to each thread that asks."""
    with _drawing:
        return generator.next()


class Draws(random.SeedGenerator):
    """A generator that goes through the keys made of one key, and keeps no state elsewhere.

    One call of a layer takes one key from the layer's generator, however many numbers it draws.

    Args:
        key: uint32 array (2,).
    """

    def __init__(self, key):
        self.key, self.count = key, 0

    def next(self, ordered=True):
        """Return the next key."""
        self.count += 1
        return jax.random.fold_in(self.key, self.count)


def _in_worker():
    return threading.current_thread() is not threading.main_thread()


def on_cpu():
    """Return a block in which NumPy arrays are handled by the CPU."""
    if jax.default_backend() == "cpu":
        return contextlib.nullcontext()
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX was told to do without
        return contextlib.nullcontext()


def _leaves(tree):
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return [tree]
    return [leaf for part in tree for leaf in _leaves(part)]


def _has_numpy(tree):
    leaves = _leaves(tree)
    return any(isinstance(x, np.ndarray) for x in leaves) and not any(
        isinstance(x, (jax.Array, symbolic.KerasTensor)) for x in leaves
    )


def has_graph_tensors(tree):
    """Say whether there is a tensor of a TensorFlow graph in lists, tuples and dicts."""
    tf = sys.modules.get("tensorflow")
    if tf is None or not hasattr(tf, "is_symbolic_tensor"):  # absent, or being imported
        return False
    odd = (tf.RaggedTensor, tf.SparseTensor)  # to be told what to do
    return any(tf.is_symbolic_tensor(x) or isinstance(x, odd) for x in _leaves(tree))


def in_graph(layer, args, kwargs, spec_of, on_host):
    """Make a call of a layer one operation of the TensorFlow graph that its inputs are part of.

    Args:
        layer: the layer, to be named in errors.
        args, kwargs: the call's arguments, with the graph's tensors among them.
        spec_of: function that returns symbolic tensors for the outputs, given the inputs'.
        on_host: function that returns the outputs for NumPy arrays.
    """
    tf, where = sys.modules["tensorflow"], f"{layer._where()} call"
    given = tf.nest.flatten((args, kwargs))
    places = [i for i, x in enumerate(given) if tf.is_tensor(x)]
    if sum(any(map(tf.is_tensor, _leaves(a))) for a in args) > 1:
        raise errors.StepfitTypeError(
            f"{where}: expected one element of the dataset, found {len(args)}; write "
            "dataset.map(lambda x, y: (layer(x), y))."
        )
    for i in places:
        if not isinstance(given[i], tf.Tensor):
            raise errors.bad_type(
                where, "dense tensors", f"a {type(given[i]).__name__}", "call .to_tensor() on it"
            )
        if given[i].shape.rank is None:
            raise errors.bad_value(
                where, "tensors of known rank", "one of unknown rank",
                "call .ensure_shape or .set_shape on it first",
            )  # fmt: skip

    def filled(values):
        parts = list(given)
        for i, value in zip(places, values, strict=True):
            parts[i] = value
        return tf.nest.pack_sequence_as((args, kwargs), parts)

    tensors = [given[i] for i in places]
    spec_args, spec_kwargs = filled(
        [symbolic.KerasTensor(t.shape.as_list(), t.dtype.name) for t in tensors]
    )
    outputs = spec_of(*spec_args, **spec_kwargs)
    specs = tf.nest.flatten(outputs)

    def run(*values):
        host_args, host_kwargs = filled(values)
        found = tf.nest.flatten(on_host(*host_args, **host_kwargs))
        return [np.asarray(x, _dtype(tf, s.dtype)) for x, s in zip(found, specs, strict=True)]

    results = tf.numpy_function(run, tensors, [tf.as_dtype(s.dtype) for s in specs])
    for result, spec in zip(results, specs, strict=True):
        result.set_shape(spec.shape)
    return tf.nest.pack_sequence_as(outputs, results)


def _dtype(tf, name):
    return object if name == "string" else tf.as_dtype(name).as_numpy_dtype
