"""A small HTTP server of objects on loopback, with ranges, ETags and faults that are put in on request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from urllib.parse import unquote


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes
    server: ObjectServer

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        server = self.server
        fault = server.next_fault(self.command, self.path)
        server.requests.append((self.command, self.path, self.headers.get("Range"), dict(self.headers)))
        if fault == "silence":
            server.stopped.wait(server.silence_s)
            self.close_connection = True
            return
        if isinstance(fault, (int, tuple)):
            status, text = fault if isinstance(fault, tuple) else (fault, "made up")
            self.reply(status, text.encode(), body=body)
            return
        path = server.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if not path.is_file():
            self.reply(404, b"nothing here", body=body)
            return
        data = path.read_bytes()
        etag = f'"{blake2b(data, digest_size=8).hexdigest()}"'
        if fault == "changed":
            etag = '"another"'
        wanted = self.headers.get("If-Match")
        if wanted not in (None, "*", etag) and fault != "deaf":
            self.reply(412, b"changed", body=body)
            return
        headers = {"ETag": etag} if server.etags else {}
        headers["Accept-Ranges"] = "bytes"
        headers["Last-Modified"] = self.date_time_string(path.stat().st_mtime)
        status = 200
        if (span := self.headers.get("Range")) is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1 if last else len(data), len(data))
            if begin >= len(data):
                self.reply(416, b"", body=body)
                return
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
            data, status = data[begin:end], 206
        self.reply(status, data, headers, body=body, fault=fault)

    def reply(self, status, data, headers=(), *, body, fault=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if fault == "short":  # the connection ends cleanly, before all was sent
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif fault == "reset":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER of 0: close by RST
            self.close_connection = True
            self.connection.shutdown(SHUT_RDWR)
        else:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


class ObjectServer(ThreadingHTTPServer):
    """Serves a folder at `url`; a context manager.

    ``faults`` maps the number of a request, from 0, to what happens to it: a status, (status, text), "reset",
    "short", "silence", "changed" (the ETag) or "deaf" (If-Match is ignored). ``fault`` is a function of the
    command and the path that says the same. ``done`` counts the faults.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder, *, etags=True, silence_s=3600.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.etags, self.silence_s = Path(folder), etags, silence_s
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults = {}
        self.fault = lambda _command, _path: None
        self.done = Counter()
        self.requests = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._count = 0

    def next_fault(self, command, path):
        with self._lock:
            fault = self.faults.get(self._count) or self.fault(command, path)
            self._count += 1
            if fault is not None:
                self.done[fault] += 1
            return fault

    def handle_error(self, *_):
        pass

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.shutdown()
        self.server_close()
        time.sleep(0)
