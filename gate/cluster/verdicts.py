"""Whether images may run in a stage: from what is stored, and from the policies in force. Nothing is judged here.

1. The name is an image's, and the registry is the gate; or the cluster file lists it among others.
2. Every policy that names the stage judges the repository (`gate.cluster.stages`).
3. What the name means now was admitted there, and can still be pulled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.reference import Reference
from compliance.policy.model import PolicySet
from compliance.policy.wording import printable
from gate.cluster.admission_review import WARNING_LENGTH
from gate.cluster.cluster_file import ClusterFile
from gate.cluster.stages import why_not
from gate.readable import Readable
from gate.schema import Kind, StoredDecision
from gate.standings import Standing
from gate.store import Store

_RUN: Final = frozenset({Kind.IMAGE, Kind.INDEX})
_MOUNTED: Final = frozenset({Kind.IMAGE, Kind.INDEX, Kind.ARTIFACT})
_HUB: Final = "docker.io"
"""What clusters take a name without a registry to mean."""


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody is told: a line, and where the whole report is."""

    line: str
    report: str | None = None

    def __str__(self) -> str:
        return self._with(self.line)

    def within(self, length: int) -> str:
        """The line cut so that with the report it has at most that many characters."""
        room = length - len(self._with(""))
        return self._with(self.line if len(self.line) <= room else self.line[: max(0, room - 1)] + "…")

    def after(self, beginning: str) -> Words:
        return replace(self, line=beginning + self.line)

    def _with(self, line: str) -> str:
        line = " ".join(printable(line).split())  # names of images are whatever somebody wrote
        return f"{line}. Report: {self.report}" if self.report else line


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is known of an image. It may run when there is no `refusal`.

    `reference` is its name with the digest that it means now; None where it is not the gate's, or is refused.
    """

    refusal: Words | None = None
    warning: Words | None = None
    reference: Reference | None = None
    decision: str = ""
    because: str = ""
    """Why an image that the gate has not judged may run."""


class Verdicts:
    """Answers for one gate. For the event loop; what takes time is asked in threads.

    `root` is the URL by which people reach the gate.
    """

    def __init__(self, readable: Readable, store: Store, policies: Callable[[], PolicySet], root: str) -> None:
        self._readable = readable
        self._store = store
        self._policies = policies
        self._root = root

    async def of(self, image: str, stage: str, cluster: ClusterFile, *, mounted: bool = False) -> Opinion:
        """Whether an image may run, or be mounted. Raises Unavailable when that cannot be found out."""
        if not image:
            return Opinion(Words("no image is named -> Name one by its digest"))
        try:
            reference = Reference.parse(image)
        except InvalidInput:
            return Opinion(Words("that is no name of an image -> Write registry/repository@digest, in lower case"))
        if reference.registry.lower() not in cluster.registries:
            return _of_other(reference, stage, cluster)
        reason = why_not(await asyncio.to_thread(self._in_force), reference.repository, stage)
        if reason is not None:
            return Opinion(Words(reason))
        return await self._stored(reference, _MOUNTED if mounted else _RUN)

    def _in_force(self) -> PolicySet:
        try:
            return self._policies()
        except InvalidInput as error:
            # Where the policies are, and what is wrong with them, is for those who run the gate.
            raise Unavailable("the gate cannot read its policies", remedy="Its log says why.") from error

    async def _stored(self, reference: Reference, kinds: frozenset[Kind]) -> Opinion:
        repository, target = reference.repository, reference.target
        read = await self._readable.manifest(repository, target)
        if read is None or not read.whole:
            return Opinion(await self._not_there(repository, target))
        found, standing = read.manifest, read.standing
        if found.kind not in kinds:
            return Opinion(Words(f"{target} in {repository} is no image but {found.kind.value} -> Name an image"))
        if found.audited:
            # Let in while nothing was blocked there; now that something is, it is what it would have been.
            decision = await asyncio.to_thread(self._store.decision, found.decision or "")
            return Opinion(self._by(decision) if decision is not None else _unknown(repository))
        if standing is not None and self._readable.has_ended(standing):
            return Opinion(self._of_standing(standing))
        warning = None
        if standing is not None:
            warning = self._of_standing(standing).after(f"may run until {standing.until:%Y-%m-%d %H:%M} UTC: ")
        decision_id = standing.decision if standing is not None else found.decision or ""
        return Opinion(warning=warning, reference=reference.at(found.digest), decision=decision_id)

    async def _not_there(self, repository: str, target: str) -> Words:
        refused = await asyncio.to_thread(self._store.latest_refusal, repository, target)
        return _unknown(repository) if refused is None else self._by(refused)

    def _of_standing(self, standing: Standing) -> Words:
        return Words(standing.line.rstrip("."), self._report(standing.decision))

    def _by(self, decision: StoredDecision) -> Words:
        return Words(decision.line.rstrip("."), self._report(decision.id))

    def _report(self, decision: str) -> str:
        return f"{self._root}/api/decisions/{decision}"


def shortened(words: Words) -> str:
    """As a warning, which API servers cut when it is long."""
    return words.within(WARNING_LENGTH)


def _of_other(reference: Reference, stage: str, cluster: ClusterFile) -> Opinion:
    registry = reference.registry.lower() or _HUB
    path = reference.repository
    if registry == _HUB and "/" not in path:
        path = f"library/{path}"
    listed = cluster.other(f"{registry}/{path}", stage)
    if listed is not None:
        return Opinion(because=listed.why)
    gate = cluster.registries[0]
    return Opinion(
        Words(
            f"{registry} is not the gate, and only what {gate} has admitted may run here"
            f" -> Push it to {gate}, and name it so"
        )
    )


def _unknown(repository: str) -> Words:
    return Words(f"nothing that was admitted to {repository} is called so -> Push it, and name the digest it has")
