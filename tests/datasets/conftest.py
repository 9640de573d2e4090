"""A server on this machine that serves made-up files, and a cache of its own per test."""

import hashlib
import http.server
import pathlib
import threading

import pytest


class Server:
    """Serves `files` (name -> bytes); what to do wrong is set in `fault`."""

    def __init__(self):
        self.files, self.requests, self.fault = {}, [], None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/").split("?")[0]
                outer.requests.append(name)
                content = outer.files.get(name)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if outer.fault == "truncate":
                    self.wfile.write(content[: len(content) // 2])
                elif outer.fault == "stall":
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    outer.stalled.set()
                    outer.release.wait(30)
                else:
                    self.wfile.write(content)

            def log_message(self, *args):
                return None

        self.stalled, self.release = threading.Event(), threading.Event()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The cache: a folder of this test."""
    monkeypatch.setenv("STEPFIT_HOME", str(tmp_path / "home"))
    return pathlib.Path(tmp_path / "home")


@pytest.fixture
def server(home, monkeypatch):
    """The server, set as the place where data sets come from."""
    server = Server()
    monkeypatch.setenv("STEPFIT_DATASETS_URL", server.url)
    yield server
    server.close()


def sha256(content):
    return hashlib.sha256(content).hexdigest()
