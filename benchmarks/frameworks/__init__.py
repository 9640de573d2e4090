"""The loops: one file per framework, each the way a good user of that framework writes it.

A contestant is made from a workload. Its methods are the operations that can be measured; each
takes how many `times` to do it, and returns one result for each time (a loss, or predictions), so
that the results of all contestants can be compared.

| operation | once is |
|---|---|
| `train` | an epoch; `fit(epochs=times)` where there is a `fit` |
| `train_again` | an epoch, with one `fit(epochs=1)` call for each |
| `evaluate`, `predict` | one pass over the data |
| `train_on_batch`, `predict_on_batch`, `call` | one call with a NumPy batch, its result awaited |
"""

import functools
import importlib

from benchmarks.frameworks.batches import BATCH_OPERATIONS

# name -> (module, class, arguments)
_PLACES = {
    "stepfit": ("fit", "Fit", {"library": "stepfit"}),
    "stepfit spe=1": ("fit", "Fit", {"library": "stepfit", "steps_per_execution": 1}),
    "keras": ("fit", "Fit", {"library": "keras"}),
    "keras best spe": ("fit", "BestFit", {"library": "keras"}),
    "jax loop": ("jax_loops", "Loop", {}),
    "jax scan": ("jax_loops", "Scan", {}),
    "flax nnx": ("nnx_loop", "NnxLoop", {}),
    "equinox": ("equinox_loop", "EquinoxLoop", {}),
    "torch": ("torch_loop", "BestTorchLoop", {}),
}
NAMES = tuple(_PLACES)
BY_HAND = ("jax loop", "jax scan")

__all__ = ["BATCH_OPERATIONS", "BY_HAND", "NAMES", "find"]


def find(name, workload, operation):
    """Return what makes this contestant from the workload, or None if it does not take part."""
    if workload.contestants is not None and name not in workload.contestants:
        return None
    module, name_of_class, arguments = _PLACES[name]
    module = importlib.import_module(f"benchmarks.frameworks.{module}")
    made = getattr(module, name_of_class)
    if getattr(made, operation, None) is None:
        return None
    if name == "keras best spe" and workload.steps < min(module.CANDIDATES):
        return None
    return functools.partial(made, **arguments)
