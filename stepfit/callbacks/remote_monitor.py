"""Logs sent to a server."""

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings

import numpy as np

from stepfit.callbacks.callback import Callback
from stepfit.core import errors

_SECONDS = 10  # for the server to answer


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to a server, in an HTTP POST request.

    The body is a form with one field that holds JSON, or JSON itself. A server that cannot be
    reached, or refuses, is a warning: training goes on.

    Args:
        root: address of the server, "http://..." or "https://...".
        path: path on the server, added to `root`.
        field: name of the field of the form.
        headers: dict of further HTTP headers.
        send_as_json: whether the body is JSON, of type "application/json".

    Raises:
        ValueError: `root` is no such address.

    Example:

    >>> import stepfit as keras
    >>> keras.callbacks.RemoteMonitor("http://localhost:9000").url
    'http://localhost:9000/publish/epoch/end/'
    """

    by_first_process = True

    def __init__(
        self, root="http://localhost:9000", path="/publish/epoch/end/", field="data",
        headers=None, send_as_json=False,
    ):  # fmt: skip
        super().__init__()
        if not str(root).startswith(("http://", "https://")):
            expected = "an address that begins with 'http://' or 'https://'"
            raise errors.bad_value("RemoteMonitor(root)", expected, errors.describe(root))
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    @property
    def url(self):
        """The address that logs are sent to."""
        return self.root + self.path

    def on_epoch_end(self, epoch, logs=None):
        text = json.dumps({"epoch": epoch, **{k: _plain(v) for k, v in (logs or {}).items()}})
        if self.send_as_json:
            kind, body = "application/json", text
        else:
            kind = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode({self.field: text})
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = urllib.request.Request(self.url, body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                answer.read()
        except (OSError, urllib.error.URLError) as e:
            warnings.warn(
                f"RemoteMonitor, epoch {epoch + 1}: the logs were not received by {self.url} "
                f"({getattr(e, 'reason', None) or e}); training goes on.",
                stacklevel=errors.users_level(),
            )


def _plain(value):
    return np.asarray(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else value
