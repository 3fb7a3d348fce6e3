"""The moments at which a gate is killed, by the steps of an admission as they are documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.crash.proxy import Moment

_MANIFESTS: Final = "/manifests/"
_BLOBS: Final = "/blobs/sha256"
_UPLOADS: Final = "/blobs/uploads/"


@dataclass(frozen=True)
class Point:
    """A moment in a request at which the gate is killed: held in the proxy, or in the scanner."""

    name: str
    during: str
    method: str = ""
    path: str = ""
    moment: Moment = Moment.BEFORE
    skip: int = 0
    scanner: str = ""

    @property
    def is_repair(self) -> bool:
        """Whether there is such a moment only when something was left to be put right."""
        return self.during == "start" and self.method != ""

    @property
    def leaves_work(self) -> bool:
        """Whether the registry and the database differ afterwards."""
        return self.during in {"push", "delete"} and self.method in {"PUT", "DELETE"}


POINTS: Final = (
    Point("upload: begin, not asked", "upload", "POST", _UPLOADS),
    Point("upload: begin, answered", "upload", "POST", _UPLOADS, Moment.AFTER),
    Point("upload: end, not asked", "upload", "PUT", _UPLOADS),
    Point("upload: end, answered", "upload", "PUT", _UPLOADS, Moment.AFTER),
    Point("step 4: resolving", "push", "HEAD", _BLOBS),
    Point("step 5: fetching a blob", "push", "GET", _BLOBS),
    Point("step 5: scanning the bytes", "push", scanner="image"),
    Point("step 8: matching advisories", "push", scanner="sbom"),
    Point("step 9 done: recorded, not published", "push", "PUT", _MANIFESTS),
    Point("step 10: in the registry, not readable", "push", "PUT", _MANIFESTS, Moment.AFTER),
    Point("step 10 done: readable, not attested", "push", "POST", _UPLOADS),
    Point("step 11: the summary's blob is there", "push", "PUT", _UPLOADS, Moment.AFTER),
    Point("step 11: the summary, not asked", "push", "PUT", _MANIFESTS, skip=1),
    Point("step 11: the summary, in the registry", "push", "PUT", _MANIFESTS, Moment.AFTER, skip=1),
    Point("delete: not readable, still in the registry", "delete", "DELETE", _MANIFESTS),
    Point("delete: out of the registry", "delete", "DELETE", _MANIFESTS, Moment.AFTER),
    Point("repair: looking", "start", "HEAD", _MANIFESTS),
    Point("repair: before a deletion", "start", "DELETE", _MANIFESTS),
    Point("repair: after a deletion", "start", "DELETE", _MANIFESTS, Moment.AFTER),
    Point("repair: before putting again", "start", "PUT", _MANIFESTS),
    Point("repair: after putting again", "start", "PUT", _MANIFESTS, Moment.AFTER),
    Point("any time in a push", "push"),
    Point("any time in several pushes", "crowd"),
    Point("any time in a start", "start"),
    Point("at rest", "nothing"),
)
