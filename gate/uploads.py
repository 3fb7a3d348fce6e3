"""Blob uploads under way: whose each is, and where the registry behind the gate goes on with it.

A client is given a Location on the gate that holds the registry's own, sealed: it is good for the user and
repository it was made for, cannot be altered, and needs no memory, so any gate on the same database can go on
with it. What is remembered besides is the newest state of each upload, so that a client whose connection was
cut can ask by an older Location how much arrived, and go on from there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from gate.errors import Code, Fault

_SEAL: Final = "_upload"
_SEAL_BYTES: Final = 32
_REMEMBERED: Final = 8192
_SAME: Final = 4
"""Locations of one state of an upload that stay good; a client that asks more often has newer ones."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload. `path` and `query` are where the registry behind the gate wants the next request.

    `stale` is whether the client came by a Location that a later one has replaced.
    """

    id: str
    user: str
    repository: str
    path: str
    query: str = ""
    stale: bool = False

    @property
    def target(self) -> str:
        """Path and query in one."""
        return f"{self.path}?{self.query}"


class Uploads:
    """All uploads. `key` seals the Locations; gates that share it can go on with each other's uploads."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._newest: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, user: str, repository: str, location: str) -> Upload:
        """A new upload, which the registry goes on with at `location`, a path and query."""
        path, _, query = location.partition("?")
        return Upload(secrets.token_hex(16), user, repository, path, query)

    def moved(self, upload: Upload, location: str, *, asked: bool = False) -> Upload:
        """The same upload after the registry has named its next `location`.

        `asked` is whether it was only asked how much arrived: Locations of before are then as good as this one.
        """
        path, _, query = location.partition("?")
        with self._lock:
            before = self._newest.get(upload.id, ((upload.path, upload.query),)) if asked else ()
            self._newest[upload.id] = (*before, (path, query))[-_SAME:]
            self._newest.move_to_end(upload.id)
            while len(self._newest) > _REMEMBERED:
                self._newest.popitem(last=False)
        return replace(upload, path=path, query=query, stale=False)

    def ended(self, upload: Upload) -> None:
        """Forget what is remembered of an upload."""
        with self._lock:
            self._newest.pop(upload.id, None)

    def location(self, upload: Upload) -> str:
        """Where the client goes on: a path and query on whatever name it knows the gate by."""
        there = upload.target.encode()
        sealed = base64.urlsafe_b64encode(self._seal(upload, there) + there).rstrip(b"=").decode()
        return f"/v2/{upload.repository}/blobs/uploads/{upload.id}?{urlencode({_SEAL: sealed})}"

    def find(self, user: str, repository: str, id_: str, parameters: Mapping[str, str]) -> Upload:
        """The upload that a Location leads to. Raises the 404 answer for one of somebody else, or made up."""
        try:
            sealed = base64.urlsafe_b64decode(parameters.get(_SEAL, "") + "==")
            there = sealed[_SEAL_BYTES:]
            path, _, query = there.decode("ascii").partition("?")
        except (binascii.Error, ValueError) as error:
            raise unknown_upload() from error
        upload = Upload(id_, user, repository, path, query)
        if not hmac.compare_digest(sealed[:_SEAL_BYTES], self._seal(upload, there)):
            raise unknown_upload()
        with self._lock:
            newest = self._newest.get(id_, ((path, query),))
        if (path, query) in newest:
            return upload
        return replace(upload, path=newest[-1][0], query=newest[-1][1], stale=True)

    def _seal(self, upload: Upload, there: bytes) -> bytes:
        parts = (upload.user.encode(), upload.repository.encode(), upload.id.encode(), there)
        counted = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._key, counted, hashlib.sha256).digest()


def unknown_upload() -> Fault:
    return Fault(404, Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload; begin another")
