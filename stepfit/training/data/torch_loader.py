"""Batches from a torch `DataLoader`, without importing torch."""

import sys

from stepfit.training.data.generators import IterableSource


def is_torch_loader(x):
    """Say whether `x` is a `torch.utils.data.DataLoader`."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.utils.data.DataLoader)


class TorchLoaderSource(IterableSource):
    """Batches from a DataLoader as NumPy arrays; the loader decides on order and batch size."""

    def __init__(self, data, **kwargs):
        self.batch_size = data.batch_size
        self.num_samples = len(data.dataset) if hasattr(data.dataset, "__len__") else None
        kwargs["description"] = "a torch DataLoader"
        super().__init__(data, **kwargs)

    def _convert(self, batch):
        return tuple(batch) if isinstance(batch, list) else batch
