"""Reading event files, with TensorBoard's own reader."""

import numpy as np


def read(folder):
    """Return the `EventAccumulator` of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # 0: keep every event
    reader = EventAccumulator(str(folder), {"tensors": 0, "images": 0, "histograms": 0})
    return reader.Reload()


def scalars(folder):
    """Return a dict from tag to a list of (step, value)."""
    from tensorboard.util.tensor_util import make_ndarray

    reader = read(folder)
    return {
        tag: [
            (e.step, float(make_ndarray(e.tensor_proto)))
            for e in reader.Tensors(tag)
        ]
        for tag in reader.Tags()["tensors"]
        if reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    }  # fmt: skip


def array(event):
    """Return the array of an event."""
    from tensorboard.util.tensor_util import make_ndarray

    return np.asarray(make_ndarray(event.tensor_proto))
