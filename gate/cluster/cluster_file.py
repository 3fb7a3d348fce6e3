"""The cluster file: where the webhook listens and what it goes by, in YAML.

listen: 0.0.0.0:8443
certificate: tls.crt            # beside this file, as all relative paths
key: tls.key
client-ca: api-server-ca.crt    # optional: only who has a certificate by it may ask
registries: [gate.example.com:5000]
audit: [training]               # stages in which nothing is blocked, only told
others:                         # what is not the gate's and may run all the same
  - images: [registry.k8s.io/pause]
    stages: [serving]           # left out: every stage
    why: The sandbox of every pod belongs to the cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from compliance.document import read_model
from compliance.oci.reference import is_host
from compliance.policy.pattern import matches
from gate.identity.watched import Watched

_WILD: Final = frozenset("*?[")


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError(f"{text!r} is no registry: write HOST or HOST:PORT, as image names have it")
    return text.lower()


def _images(text: str) -> str:
    host, slash, rest = text.partition("/")
    if not slash or not rest or _WILD & set(host) or not is_host(host):
        raise ValueError(f"{text!r} names no images: write HOST/REPOSITORY, where only REPOSITORY has wildcards")
    return text


Stage = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
"""As the value of a label has to be."""

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Other(_Part):
    """Images that the gate has not judged and that may run all the same, by their names without tag and digest."""

    images: tuple[Annotated[str, AfterValidator(_images)], ...] = Field(min_length=1)
    stages: tuple[Stage, ...] = ()
    why: Reason

    def covers(self, name: str, stage: str) -> bool:
        return (not self.stages or stage in self.stages) and any(matches(one, name) for one in self.images)


class ClusterFile(_Part):
    """All that the file says. `registries` are the names by which the cluster knows the gate."""

    listen: Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]
    certificate: Path
    key: Path
    client_ca: Path | None = Field(default=None, alias="client-ca")
    registries: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(min_length=1)
    audit: tuple[Stage, ...] = ()
    others: tuple[Other, ...] = ()

    def other(self, name: str, stage: str) -> Other | None:
        """What lets an image run that is not the gate's."""
        return next((one for one in self.others if one.covers(name, stage)), None)


def read_cluster(path: Path) -> ClusterFile:
    """Read a cluster file. Raises InvalidInput, with the line, when it cannot be accepted."""
    file, _ = read_model(path, ClusterFile)
    beside = path.absolute().parent
    return file.model_copy(
        update={
            "certificate": beside / file.certificate,
            "key": beside / file.key,
            "client_ca": None if file.client_ca is None else beside / file.client_ca,
        }
    )


def watch_cluster(path: Path) -> Watched[ClusterFile | None]:
    """The file as it is now; None, by which nothing may run, while it is gone or broken.

    Raises InvalidInput when it is broken at first. Where it listens counts when the gate starts.
    """
    return Watched[ClusterFile | None](path, read_cluster, None)
