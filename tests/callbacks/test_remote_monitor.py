"""RemoteMonitor, with a server that runs."""

import http.server
import json
import threading
import urllib.parse

import numpy as np
import pytest

from stepfit.callbacks import CallbackList, RemoteMonitor

from .fakes import run


@pytest.fixture
def server():
    """A server on this machine; `server.requests` are those it got, `server.status` its answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.requests.append((self.path, dict(self.headers), body))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.requests, made.status = [], 200
        made.root = f"http://127.0.0.1:{made.server_address[1]}"
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


EPOCHS = [{"loss": 0.5, "v": np.arange(2)}, {"loss": 0.25}]
SENT = [{"epoch": 0, "loss": 0.5, "v": [0, 1]}, {"epoch": 1, "loss": 0.25}]


def test_a_form_is_sent_after_each_epoch(server):
    run(CallbackList(RemoteMonitor(server.root)), EPOCHS)
    assert [path for path, _, _ in server.requests] == ["/publish/epoch/end/"] * 2
    bodies = [urllib.parse.parse_qs(body) for _, _, body in server.requests]
    assert [{k: json.loads(v[0]) for k, v in body.items()} for body in bodies] == [
        {"data": sent} for sent in SENT
    ]


def test_json_headers_and_another_path(server):
    callback = RemoteMonitor(
        server.root, path="/here", headers={"X-Key": "k"}, send_as_json=True, field="unused"
    )
    run(CallbackList(callback), EPOCHS)
    for (path, headers, body), sent in zip(server.requests, SENT, strict=True):
        assert (path, json.loads(body), headers["X-Key"]) == ("/here", sent, "k")
        assert headers["Content-Type"] == "application/json"


def test_a_server_that_refuses_is_a_warning(server):
    server.status = 500
    with pytest.warns(UserWarning) as found:
        run(CallbackList(RemoteMonitor(server.root)), EPOCHS[:1])
    assert str(found[0].message) == (
        f"RemoteMonitor, epoch 1: the logs were not received by {server.root}/publish/epoch/end/ "
        "(Internal Server Error); training goes on."
    )


def test_no_server_is_a_warning(server):
    server.shutdown()
    server.server_close()
    with pytest.warns(UserWarning, match="the logs were not received by .* training goes on"):
        model = run(CallbackList(RemoteMonitor(server.root)), EPOCHS)
    assert not model.stop_training


@pytest.mark.parametrize(("root", "found"), [("file:///etc/passwd", "'file:///etc/passwd'"),
                                             ("localhost:9000", "'localhost:9000'"),
                                             (None, "None")])  # fmt: skip
def test_message(root, found):
    with pytest.raises(ValueError) as error:
        RemoteMonitor(root)
    assert str(error.value) == (
        "RemoteMonitor(root): expected an address that begins with 'http://' or 'https://', found "
        f"{found}."
    )


def test_it_keeps_no_state(server):
    callback = RemoteMonitor(server.root)
    run(CallbackList(callback), EPOCHS[:1])
    assert callback.state() == {}
    resumed = RemoteMonitor(server.root)
    resumed.restore(callback.state())
    run(CallbackList(resumed), EPOCHS[1:], initial_epoch=1)
    assert len(server.requests) == 2
