"""The gate's promises, held against what it answers, its database, and the registry behind it.

The numbers are those of the promises in the documentation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from compliance.attest.bundle import verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.evidence import Evidence
from compliance.oci.digest import Digest
from compliance.policy.canonical import digest_of, from_canonical_json
from compliance.policy.decision import Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.model import PolicySet
from compliance.policy.reports import from_json, to_json
from gate.intents import StoredIntent
from gate.own_key import public_key
from gate.own_rules import NAME
from gate.schema import Kind, StoredDecision, StoredManifest, StoredPart, StoredTag
from tests.crash.content import Nature
from tests.crash.model import Model, Place
from tests.crash.world import World


@dataclass(frozen=True)
class Records:
    """What the gate's database holds."""

    decisions: list[StoredDecision]
    manifests: list[StoredManifest]
    tags: list[StoredTag]
    parts: list[StoredPart]
    intents: list[StoredIntent]

    @property
    def admitted(self) -> set[Place]:
        return {(one.repository, one.digest) for one in self.decisions if one.verdict is Verdict.ADMITTED}


def read_records(world: World) -> Records:
    engine = create_engine(f"sqlite:///{world.data / 'gate.db'}")
    try:
        with Session(engine) as session:
            return Records(
                *(list(session.scalars(select(table))) for table in (StoredDecision, StoredManifest, StoredTag)),
                *(list(session.scalars(select(table))) for table in (StoredPart, StoredIntent)),
            )
    finally:
        engine.dispose()


@dataclass
class Promises:
    """Checks, each of which yields what is broken. `policies` are those that were ever in force, by digest."""

    world: World
    model: Model
    policies: dict[Digest, PolicySet]

    def __post_init__(self) -> None:
        self._recomputed: set[str] = set()
        self._verified: set[Digest] = set()

    def at_rest(self, records: Records) -> Iterator[str]:
        """Those that hold at any moment, also while the gate is dead."""
        yield from self._only_admitted(records)
        yield from self._behind_only_admitted(records)
        yield from self._recomputes(records)

    def _only_admitted(self, records: Records) -> Iterator[str]:
        """1. Everything that may be read has a decision that admitted it; of an index all children do."""
        decisions = {one.id: one for one in records.decisions}
        for row in records.manifests:
            name = f"1: {row.repository}@{row.digest}"
            if row.kind is Kind.EVIDENCE:
                if not self._is_true_evidence(row.repository, row.digest, row.raw, records):
                    yield f"{name} is readable evidence that nobody trusted signed"
                continue
            decision = decisions.get(row.decision or "")
            if decision is None or (decision.repository, decision.digest) != (row.repository, row.digest):
                yield f"{name} is readable without a decision about it"
            elif decision.verdict is not Verdict.ADMITTED:
                yield f"{name} is readable by a decision that is {decision.verdict}"
            if row.kind is Kind.INDEX:
                for child in json.loads(row.raw)["manifests"]:
                    if (row.repository, child["digest"]) not in records.admitted:
                        yield f"{name} is readable, and its child {child['digest']} was not admitted"
        for tag in records.tags:
            if not any((row.repository, row.digest) == (tag.repository, tag.digest) for row in records.manifests):
                yield f"1: the tag {tag.repository}:{tag.tag} points at nothing"

    def _behind_only_admitted(self, records: Records) -> Iterator[str]:
        """2. The registry has, and had under its tags, only what was decided on before."""
        for repository, digest, where in self.behind():
            if (repository, digest) in records.admitted:
                continue
            raw = self._blob_behind(digest)
            if not self._is_true_evidence(repository, digest, raw, records):
                yield f"2: the registry has {repository}@{digest} {where} without a decision that admits it"

    def _recomputes(self, records: Records) -> Iterator[str]:
        """4. A verdict follows from what is stored with it."""
        for row in records.decisions:
            if row.id in self._recomputed:
                continue
            self._recomputed.add(row.id)
            stored = from_json(row.decision)
            evidence = from_canonical_json(row.evidence, Evidence)
            if digest_of(evidence) != row.evidence_digest or stored.verdict is not row.verdict:
                yield f"4: the decision {row.id} is not the one in its columns"
            if stored.policies == (NAME,):
                continue  # by the gate's own rules, before any evidence was taken
            policies = self.policies.get(row.policy_digest)
            if policies is None:
                yield f"4: the decision {row.id} was taken by policies that were never in force"
            elif to_json(evaluate(policies, evidence, row.at, later=row.later)) != row.decision:
                yield f"4: the decision {row.id} cannot be reached again"

    def when_asked(self, records: Records) -> Iterator[str]:
        """What clients see of 1 and 3: nothing unadmitted exists, and nothing acknowledged is lost."""
        with self.world.client("pod") as pod, self.world.client("ci") as ci:
            readable = {place: self._is_readable(pod, place) for place in self.model.items}
            parts = {(part.repository, part.blob) for part in records.parts}
            known = {(row.repository, row.digest) for row in records.manifests}
            for place, found in readable.items():
                name = f"{place[0]}@{place[1]}, {self.model.items[place].nature},"
                if found and place not in known:
                    yield f"1: {name} is answered, and not in the database"
                if place in self.model.sure and not found and not self._is_denied_later(place):
                    yield f"3: {name} was acknowledged, and is lost"
                if found and place not in self.model.sure | self.model.open | self.model.denied_later:
                    yield f"1: {name} is readable, and was never acknowledged"
                yield from self._blobs(pod, place, parts, found=found)
            tags = {name: self._tagged(pod, *name) for name in self.model.tags}
            for name, target in tags.items():
                likely = self.model.tags[name]
                if target in likely or {(name[0], each) for each in (target, *likely)} & self.model.denied_later:
                    continue
                yield f"3: the tag {name} points at {target}, not at any of {likely}"
            for repository, blob in self.model.blobs:
                if ci.head(f"/v2/{repository}/blobs/{blob}").status_code != 200:
                    yield f"3: the blob {repository}@{blob} was acknowledged, and is lost"
            self.model.seen(readable, tags)

    def _blobs(self, pod: httpx.Client, place: Place, parts: set[Place], *, found: bool) -> Iterator[str]:
        repository, digest = place
        for blob, data in self.model.items[place].blobs.items():
            answer = pod.get(f"/v2/{repository}/blobs/{blob}")
            if found and (answer.status_code, answer.content) != (200, data) and self._is_readable(pod, place):
                yield f"3: the blob {blob} of the readable {repository}@{digest} answers {answer.status_code}"
            if not found and answer.status_code == 200 and (repository, blob) not in parts:
                yield f"1: the blob {blob} of the unreadable {repository}@{digest} can be pulled"

    def _is_readable(self, pod: httpx.Client, place: Place) -> bool:
        repository, digest = place
        path = f"/v2/{repository}/manifests/{digest}"
        head, body = pod.head(path), pod.get(path)
        if head.status_code != body.status_code and pod.head(path).status_code != head.status_code:
            head, body = pod.head(path), pod.get(path)  # it was judged again between the two
        if head.status_code == 200 and body.content != self.model.items[place].raw:
            raise AssertionError(f"{repository}@{digest} answers with other bytes")
        if (head.status_code == 200) != (body.status_code == 200):
            raise AssertionError(f"HEAD says {head.status_code} of {repository}@{digest}, GET {body.status_code}")
        if head.status_code not in {200, 403, 404}:
            raise AssertionError(f"{repository}@{digest} answers {head.status_code}: {body.text}")
        return head.status_code == 200

    def _tagged(self, pod: httpx.Client, repository: str, tag: str) -> Digest | None:
        answer = pod.head(f"/v2/{repository}/manifests/{tag}")
        if answer.status_code not in {200, 403, 404}:
            raise AssertionError(f"{repository}:{tag} answers {answer.status_code}")
        return Digest(answer.headers["Docker-Content-Digest"]) if answer.status_code == 200 else None

    def _is_denied_later(self, place: Place) -> bool:
        """Whether stricter policies have come since, under which it no longer complies."""
        later = self.model.items[place].nature is Nature.OWNERLESS or any(
            child.nature is Nature.OWNERLESS for child in self.model.items[place].children
        )
        if later:
            self.model.denied_later.add(place)
            self.model.sure.discard(place)
        return later

    def repaired(self, records: Records) -> Iterator[str]:
        """5. After a quiet moment the registry has what the database says, and nothing is left lying about."""
        kept = {(row.repository, row.kept_as) for row in records.manifests}
        there = {(repository, digest) for repository, digest, where in self.behind() if where == "by digest"}
        for repository, digest in there - kept:
            yield f"5: the registry keeps {repository}@{digest}, which nobody may read"
        for repository, kept_as in kept - there:
            yield f"5: the registry lacks {repository}@{kept_as}, which may be read"
        behind = dict(self._tags_behind())
        for tag in records.tags:
            if behind.get((tag.repository, tag.tag)) != tag.digest:
                yield f"5: the registry has another {tag.repository}:{tag.tag} than readers see"
        for intent in records.intents:
            yield f"5: the intent {intent.id} on {intent.manifest or intent.upload} was not settled"
        proven = {row.decision for row in records.manifests if row.kind is Kind.EVIDENCE}
        for row in records.manifests:
            if row.kind is Kind.IMAGE and row.decision not in proven:
                yield f"5: {row.repository}@{row.digest} has no summary"
        for pattern in ("tmp/*", "cache/blobs/open/*", "**/.new-*", ".key-*"):
            for path in self.world.data.glob(pattern):
                yield f"5: {path.relative_to(self.world.data)} was left behind"

    def uploads_behind(self) -> int:
        """How many uploads the registry still waits for."""
        return len(list(self.world.repositories.glob("**/_uploads/*/data")))

    def behind(self) -> Iterator[tuple[str, Digest, str]]:
        """Each manifest in the registry: by digest, and each that a tag ever pointed at."""
        for place, digest in self._links():
            at = place.index("_manifests")
            where = "by digest" if place[at + 1] == "revisions" else f"as {place[at + 2]}"
            yield "/".join(place[:at]), digest, where

    def _tags_behind(self) -> Iterator[tuple[tuple[str, str], Digest]]:
        for place, digest in self._links():
            if place[-5:-3] == ("_manifests", "tags") and place[-2] == "current":
                yield ("/".join(place[:-5]), place[-3]), digest

    def _links(self) -> Iterator[tuple[tuple[str, ...], Digest]]:
        """Where the registry points at manifests, and at which. It may be at work meanwhile."""
        for directory, _, files in os.walk(self.world.repositories):
            link = Path(directory, "link")
            place = link.relative_to(self.world.repositories).parts
            if "link" in files and "_manifests" in place:
                with suppress(FileNotFoundError):
                    if text := link.read_text():
                        yield place, Digest(text)

    def _blob_behind(self, digest: Digest) -> bytes:
        path = self.world.repositories.parent / "blobs" / "sha256" / digest.hex[:2] / digest.hex / "data"
        return path.read_bytes()

    def _is_true_evidence(self, repository: str, digest: Digest, raw: bytes, records: Records) -> bool:
        """Whether it is evidence that was signed by whom the gate trusts, or a summary of its own."""
        item = self.model.items.get((repository, digest))
        if item is not None:
            return item.nature is Nature.EVIDENCE
        document = json.loads(raw)
        subject = document.get("subject", {}).get("digest")
        if (repository, subject) not in records.admitted:
            return False
        if digest not in self._verified:
            bundle = self._blob_behind(Digest(document["layers"][0]["digest"]))
            verify_bundle(bundle, self._own_key(), {Digest(subject)})
            self._verified.add(digest)
        return True

    def _own_key(self) -> TrustedKeys:
        directory = self.world.root / "own"
        directory.mkdir(exist_ok=True)
        (directory / "gate.pem").write_text(public_key(self.world.data))
        return TrustedKeys.load(directory)


def check(promises: Promises, *, asked: bool) -> list[str]:
    """Everything that is broken now; `asked` is whether the gate runs and can be asked."""
    records = read_records(promises.world)
    found = list(promises.at_rest(records))
    if asked:
        with closing(promises.when_asked(records)) as answers:
            found += list(answers)
    return found
