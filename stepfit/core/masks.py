"""Masks that travel with tensors: the bool array that says which entries count.

A layer sets a mask on what it returns; the next layer, the loss and the metrics read it. On arrays
and symbolic tensors it is the attribute ``_keras_mask``, as in Keras; tracers take no attributes,
so theirs are kept beside them and forgotten when the tracer is.
"""

import weakref

_of_tracers: dict = {}  # id(tracer) -> (weak reference to it, mask)


def get_mask(x):
    """Return the mask that was set on `x`, or None."""
    mask = getattr(x, "_keras_mask", None)
    if mask is None and id(x) in _of_tracers:
        return _of_tracers[id(x)][1]
    return mask


def set_mask(x, mask):
    """Set (or, with None, clear) the mask of `x`."""
    try:
        x._keras_mask = mask
    except AttributeError:
        key = id(x)
        _of_tracers.pop(key, None)
        if mask is not None:
            forget = _of_tracers.pop  # bound: when Python ends, the module's names are gone
            reference = weakref.ref(x, lambda _: forget(key, None))
            _of_tracers[key] = (reference, mask)
