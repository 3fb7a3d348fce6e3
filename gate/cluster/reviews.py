"""From a question of an API server to its answer: what an object runs, each image once, by the stage it is for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from compliance.errors import ComplianceError, InvalidInput, Unavailable
from gate.cluster.admission_review import AdmissionRequest, Answer, Operation, Outcome, Replacement
from gate.cluster.cluster_file import ClusterFile
from gate.cluster.verdicts import Opinion, Verdicts, Words, shortened
from gate.cluster.workloads import UsedImage, images_of
from gate.identity.watched import Watched
from gate.telemetry.logs import fields

MOST_IMAGES: Final = 100
"""Different images that one object may bring."""

LABEL: Final = "mlbuild.dev/stage"
"""The label of a namespace that names its stage."""

Opinions = Mapping[UsedImage, Opinion]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an object is refused. `code` is 503 where that is for the moment only."""

    words: Words
    code: int = 403


class Reviews:
    """Answers questions. What cannot be found out is refused, except where nothing is blocked anyway."""

    def __init__(self, verdicts: Verdicts, cluster: Watched[ClusterFile | None]) -> None:
        self._verdicts = verdicts
        self._cluster = cluster

    async def validate(self, request: AdmissionRequest, stage: str) -> Answer:
        """Whether what the object brings may run in a stage."""
        try:
            opinions = await self._opinions(request, stage)
        except ComplianceError as error:
            return self._refuse((_of(error),), request, stage)
        problems = tuple(
            Problem(opinion.refusal.after(f"{one.place}: "))
            for one, opinion in opinions.items()
            if opinion.refusal is not None
        )
        if problems:
            return self._refuse(problems, request, stage)
        return Answer(Outcome.ALLOWED, warnings=tuple(_warnings(opinions)), annotations=_annotations(opinions))

    async def pin(self, request: AdmissionRequest, stage: str) -> Answer:
        """Put the digest that each tag means now in its place. What is not admitted is left to `validate`."""
        try:
            opinions = await self._opinions(request, stage)
        except ComplianceError as error:
            return self._refuse((_of(error),), request, stage)
        replacements = tuple(
            Replacement(one.path, str(opinion.reference))
            for one, opinion in opinions.items()
            if opinion.reference is not None and "@" not in one.image
        )
        return Answer(Outcome.ALLOWED, replacements=replacements)

    def unlabelled(self, request: AdmissionRequest) -> Answer:
        """Refuse whatever runs an image, since its namespace says no stage."""
        try:
            if not _brought(request):
                return Answer(Outcome.ALLOWED)
        except InvalidInput as error:
            return self._refuse((_of(error),), request, "")
        line = (
            f"namespace {request.namespace!r} has no label {LABEL} with a stage that this cluster knows"
            f" -> kubectl label namespace {request.namespace} {LABEL}=STAGE"
        )
        return self._refuse((Problem(Words(line)),), request, "")

    async def _opinions(self, request: AdmissionRequest, stage: str) -> Opinions:
        """What is known of each image that the object brings, by all the places where it is."""
        cluster = self._cluster()
        if cluster is None:
            raise Unavailable("the gate cannot read its cluster file any more", remedy="Its log says why.")
        used = _brought(request)
        distinct = dict.fromkeys((one.image, one.mounted) for one in used)
        if len(distinct) > MOST_IMAGES:
            raise InvalidInput(f"it names {len(distinct)} different images, more than {MOST_IMAGES}")
        known = {
            (image, mounted): await self._verdicts.of(image, stage, cluster, mounted=mounted)
            for image, mounted in distinct
        }
        return {one: known[one.image, one.mounted] for one in used}

    def _refuse(self, problems: Sequence[Problem], request: AdmissionRequest, stage: str) -> Answer:
        """The refusal, or where nothing is blocked what it would have been."""
        cluster = self._cluster()
        audited = cluster is not None and stage in cluster.audit
        told = list(dict.fromkeys(str(one.words) for one in problems))
        message = "; ".join(told)
        _tell(request, stage, message, audited=audited)
        annotations = {"stage": stage, "refusal": message} if stage else {"refusal": message}
        if audited:
            warnings = dict.fromkeys(shortened(one.words.after("not enforced: ")) for one in problems)
            return Answer(Outcome.AUDITED, warnings=tuple(warnings), annotations=annotations)
        return Answer(
            Outcome.REFUSED, message=message, code=max(one.code for one in problems), annotations=annotations
        )


def _brought(request: AdmissionRequest) -> tuple[UsedImage, ...]:
    """All images of a new object, and those of a changed one that it did not name before.

    What was denied since would otherwise keep everybody from scaling, labelling or ending what runs.
    """
    if request.operation is Operation.DELETE:
        return ()
    used = images_of(request.kind, request.object)
    if request.operation is not Operation.UPDATE:
        return used
    before = {(one.image, one.mounted) for one in images_of(request.kind, request.old_object)}
    return tuple(one for one in used if (one.image, one.mounted) not in before)


def _of(error: ComplianceError) -> Problem:
    line = f"could not decide: {error}" + (f" -> {error.remedy}" if error.remedy else "")
    return Problem(Words(line.rstrip(".")), 503 if isinstance(error, Unavailable) else 400)


def _warnings(opinions: Opinions) -> Iterator[str]:
    told: set[str] = set()
    for one, opinion in opinions.items():
        if one.image in told:
            continue
        told.add(one.image)
        if opinion.warning is not None:
            yield shortened(opinion.warning.after(f"{one.role}: "))
        if opinion.reference is not None and "@" not in one.image:
            yield shortened(Words(f"{one.role}: a tag can be moved, so name {opinion.reference}"))


def _annotations(opinions: Opinions) -> Mapping[str, str]:
    """What the API server's audit log keeps: the decisions that let these run, and what no decision is about."""
    decisions = _once(opinion.decision for opinion in opinions.values())
    others = _once(one.image for one, opinion in opinions.items() if opinion.because)
    return {name: ", ".join(each) for name, each in (("decisions", decisions), ("others", others)) if each}


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))


def _tell(request: AdmissionRequest, stage: str, message: str, *, audited: bool) -> None:
    log.info(
        "%s of %s %r in namespace %r, stage %r, %s: %s",
        request.operation,
        request.kind,
        request.name,
        request.namespace,
        stage,
        "would be refused" if audited else "refused",
        message,
        extra=fields(user=request.user.username),
    )
