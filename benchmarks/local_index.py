"""A package index on the loopback for wheels that a benchmark makes (simple repository API, JSON form)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@contextmanager
def serve_index(wheels: Mapping[str, Path]) -> Iterator[str]:
    """Serve one wheel a project, by its normalised name, until the block ends; yields the index's address."""
    server = _Index(wheels)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Index(ThreadingHTTPServer):
    """Answers for one wheel a project, by its normalised name."""

    def __init__(self, wheels: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.wheels = wheels
        self.files = {path.name: path for path in wheels.values()}
        self.sums = {name: _sha256(path) for name, path in wheels.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Answers(BaseHTTPRequestHandler):
    server: _Index
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "files" and name in self.server.files:
            self._file(self.server.files[name])
        elif name in self.server.wheels:
            self._project(name)
        else:
            self._head(404, 0)

    do_HEAD = do_GET  # noqa: N815 - the name is the base class's

    def _project(self, name: str) -> None:
        path = self.server.wheels[name]
        entry = {
            "filename": path.name,
            "url": f"http://{self.headers['Host']}/files/{path.name}",
            "hashes": {"sha256": self.server.sums[name]},
            "size": path.stat().st_size,
            "upload-time": "2026-01-02T03:04:05Z",
        }
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": [entry], "versions": []})
        self._head(200, len(body), {"Content-Type": "application/vnd.pypi.simple.v1+json"})
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def _file(self, path: Path) -> None:
        size = path.stat().st_size
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        start = int(first) if first else max(0, size - int(last)) if last else 0
        end = min(int(last) + 1, size) if first and last else size
        said = {"Accept-Ranges": "bytes"}
        if wanted:
            said["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._head(206 if wanted else 200, end - start, said)
        if self.command == "HEAD":
            return
        with path.open("rb") as stream:
            stream.seek(start)
            if end == size:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)
            else:
                self.wfile.write(stream.read(end - start))

    def _head(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
