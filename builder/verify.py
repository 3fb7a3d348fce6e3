"""Whether a gate has admitted an image, told by the gate's public key alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from compliance.attest.bundle import BUNDLE_TYPE, verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.referrer import PREDICATE_TYPE as ANNOTATED_TYPE
from compliance.attest.referrer import bundle_in
from compliance.attest.summary import PREDICATE_TYPE, VerificationSummary, read_summary
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor, Manifest
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient, RegistryError

MAX_SUMMARY: Final = 1 << 20
"""The largest bundle looked into, in bytes; a summary has a few thousand."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The newest valid summary of an image, or why there is none. `digest` is None for what was not readable."""

    digest: Digest | None
    summary: VerificationSummary | None
    problems: tuple[str, ...] = ()


def verify(
    client: RegistryClient, reference: Reference, gate: TrustedKeys, repository: str, now: datetime
) -> Verification:
    """Look for the proof that the gate whose key is `gate` admitted an image as one of `repository`.

    1. The manifest is fetched; its bytes have the digest it is named by.
    2. The bundles that refer to it are fetched.
    3. A bundle counts when the gate's key signed it.
    4. Its statement is a verification summary v1.
    5. A subject of the statement is this manifest, under the name of `repository`.
    6. The result of the newest one is PASSED, and the date until which it says the image may be pulled is to come.

    The registry is trusted with nothing: it can hide a summary, and make none up. Raises InvalidInput when the
    reference names an index, RegistryError and Unavailable as the client does.
    """
    # 1.
    try:
        found = client.get_manifest(reference.repository, reference.target)
    except RegistryError as error:
        if error.code == "DENIED":
            return Verification(None, None, (error.reason,))
        raise
    if not isinstance(found.parse(), Manifest):
        raise InvalidInput(f"{reference} is an index", remedy="Name one of its images by digest.")
    subject = Digest.of(found.raw)
    summaries, problems = [], []
    for entry in client.referrers(reference.repository, found.digest, BUNDLE_TYPE):
        if (entry.annotations or {}).get(ANNOTATED_TYPE, PREDICATE_TYPE) != PREDICATE_TYPE:
            continue
        try:
            summaries.append(_summary(_bundle(client, reference.repository, entry), gate, repository, subject))
        except InvalidInput as error:
            problems.append(error.message)
    newest = max(summaries, key=lambda summary: summary.at, default=None)
    if newest is None:
        return Verification(found.digest, None, tuple(problems) or ("no verification summary refers to it",))
    # 6.
    problem = _objection(newest, now)
    return Verification(found.digest, None, (problem,)) if problem else Verification(found.digest, newest)


def _objection(summary: VerificationSummary, now: datetime) -> str | None:
    """Why a valid summary says that the image is not to be used."""
    if not summary.passed:
        return f"{summary.verifier} found at {summary.at:%Y-%m-%d %H:%M} UTC that it does not comply"
    until = summary.pullable_until
    if until is not None and until <= now:
        return f"it no longer complies, and was pullable until {until:%Y-%m-%d %H:%M} UTC ({summary.verifier})"
    return None


def _summary(bundle: bytes, gate: TrustedKeys, repository: str, subject: Digest) -> VerificationSummary:
    # 3.
    statement, _ = verify_bundle(bundle, gate)
    # 4.
    summary = read_summary(statement)
    # 5.
    if not any(each.name == repository and each.sha256 == subject for each in statement.subjects):
        about = ", ".join(f"{each.name}@{each.sha256}" for each in statement.subjects)
        raise InvalidInput(f"the summary is about something else: {about}")
    return summary


def _bundle(client: RegistryClient, repository: str, entry: Descriptor) -> bytes:
    # 2.
    artifact = client.get_manifest(repository, entry.digest).parse()
    if not isinstance(artifact, Manifest):
        raise InvalidInput(f"the referrer {entry.digest} is no artifact")
    blob = bundle_in(artifact)
    with client.open_blob(repository, blob.digest) as chunks:
        return b"".join(_bounded(chunks))


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_SUMMARY:
            raise InvalidInput(f"a bundle is larger than {MAX_SUMMARY:,} bytes, so it holds no summary")
        yield chunk
