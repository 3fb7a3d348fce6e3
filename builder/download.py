"""One file by hash into the cache: streamed to disk, hashed as it arrives, resumed after a cut.

It enters the cache only when size and sha256 are the expected ones, so the network, mirrors and proxies
need not be trusted. What has arrived is kept under `partial/` while the download lasts and after a kill,
and taken up again by a Range request (RFC 9110, section 14). Two builds that want the same file do not
download it twice: the second waits for the lock of the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

import httpx

from builder.artifact import Artifact, FetchError
from builder.cache import Cache, storing
from builder.index_auth import IndexAuth
from builder.layers.tar import CHUNK
from builder.progress import Advance
from compliance.retries import TRANSIENT, Retries

_TIMEOUT: Final = httpx.Timeout(30.0, connect=15.0)


def download_client() -> httpx.Client:
    """What downloads share: connections, the machine's certificate authorities, credentials of indexes."""
    return httpx.Client(verify=_trusted(), timeout=_TIMEOUT, follow_redirects=True, auth=IndexAuth(os.environ))


def _trusted() -> ssl.SSLContext:
    """The usual public certificate authorities, and the system's, which may include a company's own."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


class _Cut(Exception):
    """The transfer ended early or the server was busy: worth another try."""


class Download:
    """One file on its way into the cache."""

    def __init__(
        self,
        artifact: Artifact,
        cache: Cache,
        client: httpx.Client,
        retries: Retries,
        stop: threading.Event,
        advance: Advance,
    ) -> None:
        self._artifact = artifact
        self._cache = cache
        self._client = client
        self._retries = retries
        self._stop = stop
        self._advance = advance
        self._state = hashlib.sha256()
        self._have = 0

    def run(self) -> Path:
        local = self._artifact.local
        if local is not None:
            return self._copy(local)
        with self._partial() as (stream, path), storing(path):
            done = self._cache.get(self._artifact.digest)
            if done is not None:  # by another build, while this one waited for the lock
                return done
            self._take_up(stream)
            failures = 0
            while True:
                before = self._have
                try:
                    self._attempt(stream)
                    stream.flush()
                    return self._cache.adopt(path, self._artifact.digest)
                except (httpx.TransportError, _Cut) as error:
                    failures = 1 if self._have > before else failures + 1
                    if failures >= self._retries.tries:
                        raise self._failed(
                            f"was cut off {failures} times: {self._text(error)}",
                            "Check the network and try again; what has arrived is kept.",
                        ) from error
                    self._wait(self._retries.wait(failures))

    def _attempt(self, stream: BinaryIO) -> None:
        """Ask for what is missing and write it; returns when the file is whole and true."""
        resumed = self._have > 0
        if self._artifact.size is None or self._have < self._artifact.size:
            headers = {"Accept-Encoding": "identity"}
            if resumed:
                headers["Range"] = f"bytes={self._have}-"
            try:
                with self._client.stream("GET", self._artifact.url, headers=headers) as response:
                    self._accept(response, stream)
                    self._receive(response, stream)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
                raise self._failed(f"has a URL that cannot be fetched: {type(error).__name__}") from error
        self._compare(stream, resumed=resumed)

    def _accept(self, response: httpx.Response, stream: BinaryIO) -> None:
        """Look at the status: go on where the file ended, start over, try again, or give up."""
        status = response.status_code
        if status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {self._have}-"):
            return
        if status in {206, 416}:
            self._start_over(stream)
            raise _Cut(f"the server cannot resume (status {status})")
        if status in TRANSIENT:
            raise _Cut(f"the server answered {status}")
        if status != 200:
            raise self._failed(f"could not be fetched: the server answered {status}", _remedy(status))
        self._start_over(stream)

    def _receive(self, response: httpx.Response, stream: BinaryIO) -> None:
        for chunk in response.iter_raw():  # as it arrives: a chunker would lose its rest at a cut
            if self._stop.is_set():
                raise self._failed("was given up because another file failed")
            self._take(chunk)
            stream.write(chunk)
            if self._artifact.size is not None and self._have > self._artifact.size:
                self._start_over(stream)
                raise self._changed(f"is longer than the {self._artifact.size:,} bytes of the lock")
        if self._artifact.size is not None and self._have < self._artifact.size:
            raise _Cut(f"{self._have:,} of {self._artifact.size:,} bytes arrived")

    def _compare(self, stream: BinaryIO, *, resumed: bool) -> None:
        seen = self._state.hexdigest()
        if seen == self._artifact.sha256:
            return
        self._start_over(stream)
        if resumed:  # the parts may be of two different files
            raise _Cut("the parts do not make up the file")
        raise self._changed(f"has sha256 {seen}, the lock says {self._artifact.sha256}")

    def _take_up(self, stream: BinaryIO) -> None:
        """Hash what an earlier download left."""
        stream.seek(0)
        while chunk := stream.read(CHUNK):
            self._take(chunk)
        if self._artifact.size is not None and self._have > self._artifact.size:
            self._start_over(stream)

    def _take(self, chunk: bytes) -> None:
        self._state.update(chunk)
        self._have += len(chunk)
        self._advance(len(chunk))

    def _start_over(self, stream: BinaryIO) -> None:
        stream.truncate(0)
        stream.seek(0)
        self._advance(-self._have)
        self._state, self._have = hashlib.sha256(), 0

    @contextmanager
    def _partial(self) -> Iterator[tuple[BinaryIO, Path]]:
        """The file for what has arrived, locked against other builds."""
        path = self._cache.directory("partial") / self._artifact.sha256
        while True:
            with path.open("a+b") as stream:
                self._lock(stream)
                try:
                    ours = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
                except FileNotFoundError:  # the one before finished and moved it into the cache
                    ours = False
                if ours:
                    yield stream, path
                    return

    def _lock(self, stream: BinaryIO) -> None:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._wait(0.1)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise self._failed("was given up because another file failed")

    def _copy(self, path: Path) -> Path:
        try:
            with path.open("rb") as stream:
                return self._cache.put(self._counted(stream), self._artifact.digest)
        except OSError as error:
            raise self._failed(f"cannot be read: {error.strerror}", "Put the file back, or lock again.") from error

    def _counted(self, stream: BinaryIO) -> Iterator[bytes]:
        while chunk := stream.read(CHUNK):
            self._take(chunk)
            yield chunk
        self._check_local()

    def _check_local(self) -> None:
        if self._state.hexdigest() != self._artifact.sha256:
            raise self._changed(f"has sha256 {self._state.hexdigest()}, the lock says {self._artifact.sha256}")

    def _text(self, error: Exception) -> str:
        """The error's words without credentials."""
        text = str(error) or type(error).__name__
        secret = urlsplit(self._artifact.url).netloc.rpartition("@")[0]
        return text.replace(secret, "***") if secret else text

    def _changed(self, reason: str) -> FetchError:
        return self._failed(reason, self._artifact.when_changed)

    def _failed(self, reason: str, remedy: str | None = None) -> FetchError:
        return FetchError(f"{self._artifact.name} {reason} ({self._artifact.shown_url})", remedy=remedy)


def _remedy(status: int) -> str:
    if status in {401, 403, 407}:
        return "Give the credentials of that index in ~/.netrc."
    if status in {404, 410}:
        return "The index no longer has it: run `mlbuild lock` again."
    return "Try again; if it stays, ask whoever runs that index."
