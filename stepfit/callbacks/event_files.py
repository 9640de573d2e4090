"""Event files: what TensorBoard reads.

A *run* is a folder with event files; TensorBoard draws one curve per run and tag. Records are kept
in memory until `flush` appends them, so a file has no half-written record and no handle stays open.
"""

import io
import os
import socket
import time
from typing import Any

import numpy as np

from stepfit.core import processes
from stepfit.utils import optional

_KEEP_SECONDS = 5  # records wait no longer in memory


def load(module):
    """Import a module of the package `tensorboard`."""
    return optional.load(f"tensorboard.{module}", "TensorBoard", "tensorboard")


class EventFiles:
    """Writes one run.

    Args:
        folder: of the run; made when there is something to write.
        token: text that is part of the names of the files, to tell them from others.
    """

    _made = 0  # files in this process, so that no two have one name

    def __init__(self, folder, token):
        self.folder, self.token = folder, token
        self._path: Any = None  # of the file, once there is one
        self._flushed = time.monotonic()
        self._buffer = io.BytesIO()
        self._events = load("compat.proto.event_pb2")
        writer = load("summary.writer.record_writer")
        self._records = writer.RecordWriter(self._buffer)

    # -- adding ------------------------------------------------------------------------------------

    def scalar(self, tag, value, step):
        """Add a number."""
        self._add_summary(load("plugins.scalar.summary_v2").scalar_pb(tag, value), step)

    def histogram(self, tag, array, step):
        """Add the distribution of the elements of an array; those not finite are left out."""
        values = np.asarray(array, "float64")
        values = values[np.isfinite(values)]
        self._add_summary(load("plugins.histogram.summary_v2").histogram_pb(tag, values), step)

    def text(self, tag, text, step):
        """Add a text in Markdown."""
        self._add_summary(load("plugins.text.summary_v2").text_pb(tag, text), step)

    def images(self, tag, images, step):
        """Add images: uint8, (number, height, width, 1, 3 or 4)."""
        image = optional.load("PIL.Image", "TensorBoard(write_images)", "tensorboard")
        parts = [str(images.shape[2]).encode(), str(images.shape[1]).encode()]
        for pixels in images:
            file = io.BytesIO()
            image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "png")
            parts.append(file.getvalue())
        tensor = load("compat.proto.tensor_pb2").TensorProto(string_val=parts)
        tensor.dtype = load("compat.proto.types_pb2").DT_STRING
        tensor.tensor_shape.dim.add(size=len(parts))
        metadata = load("plugins.image.metadata").create_summary_metadata(None, None)
        summary = load("compat.proto.summary_pb2").Summary()
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)
        self._add_summary(summary, step)

    def graph(self, graph_def):
        """Add the graph of the run."""
        self._add(graph_def=graph_def.SerializeToString())

    def _add_summary(self, summary, step):
        self._add(summary=summary, step=int(step))
        if time.monotonic() - self._flushed > _KEEP_SECONDS:
            self.flush()

    def _add(self, **content):
        if self._path is None:
            EventFiles._made += 1
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
            name += f".{os.getpid()}.{EventFiles._made:06d}.{self.token}"
            self._path = os.path.join(self.folder, name)
            self._write(file_version="brain.Event:2")
        self._write(**content)

    def _write(self, **content):
        event = self._events.Event(wall_time=time.time(), **content)
        self._records.write(event.SerializeToString())

    def flush(self):
        """Append what was added to the file."""
        data, self._flushed = self._buffer.getvalue(), time.monotonic()
        if data and processes.is_first():
            os.makedirs(self.folder, exist_ok=True)
            with open(self._path, "ab") as file:
                file.write(data)
        if data:
            self._buffer.seek(0)
            self._buffer.truncate()

    # -- going back --------------------------------------------------------------------------------

    def sizes(self):
        """Return a dict from the name of each file with this token to its length."""
        self.flush()
        return {name: os.path.getsize(os.path.join(self.folder, name)) for name in self._own()}

    def go_back(self, sizes):
        """Drop what was written since `sizes` were noted; write to a new file from now on."""
        self._buffer.seek(0)
        self._buffer.truncate()
        self._path = None
        for name in self._own():
            path = os.path.join(self.folder, name)
            if name not in sizes:
                os.remove(path)
            elif os.path.getsize(path) > sizes[name]:
                os.truncate(path, sizes[name])

    def _own(self):
        if not os.path.isdir(self.folder):
            return []
        return sorted(n for n in os.listdir(self.folder) if n.endswith(f".{self.token}"))
