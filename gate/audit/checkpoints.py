"""Signed checkpoints: how far the audit log had come at a time, by the gate's own key.

Whoever can write to the database can take the last entries away, or hash everything anew from an entry on.
Neither agrees with a checkpoint that was made before and is kept where that person cannot write. A checkpoint
is an in-toto statement about the hash of an entry, in a sigstore bundle, one a line of a file.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, StrictInt
from securesystemslib.signer import CryptoSigner

from compliance.attest.bundle import sign_statement, verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.statement import Statement, Subject
from compliance.errors import ComplianceError, InvalidInput, Location, Unavailable
from compliance.instants import in_utc
from compliance.oci.digest import Digest
from compliance.strict_json import validated
from gate.audit.entry import Head
from gate.audit.log import AuditLog

FILE: Final = "audit-checkpoints.jsonl"
PREDICATE_TYPE: Final = "urn:mlbuild:audit-checkpoint:v1"
SECONDS: Final = 600.0
"""The longest that an entry waits for a checkpoint, while its gate runs."""

log = logging.getLogger(__name__)


class _Predicate(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: StrictInt
    at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At `at` the log ended with entry `sequence`, which had this hash, said the key of this name."""

    sequence: int
    hash: Digest
    at: datetime
    key: str


def sign(head: Head, at: datetime, signer: CryptoSigner) -> bytes:
    """A checkpoint, in one line. Raises ValueError for a log without entries."""
    if not head.sequence:
        raise ValueError("an empty log has no last entry")
    statement = Statement(
        subjects=(
            Subject(name=f"entry {head.sequence} of the audit log", digest={"sha256": Digest(head.hash).hex}),
        ),
        predicate_type=PREDICATE_TYPE,
        predicate=_Predicate(sequence=head.sequence, at=in_utc(at)).model_dump(mode="json"),
    )
    return sign_statement(statement, signer)


def read(raw: bytes, trusted: TrustedKeys) -> Checkpoint:
    """The checkpoint in one line. Raises InvalidInput when it is none, or was not signed by a trusted key."""
    statement, key = verify_bundle(raw, trusted)
    if statement.predicate_type != PREDICATE_TYPE or len(statement.subjects) != 1:
        raise InvalidInput(f"it is no checkpoint of an audit log but a {statement.predicate_type}")
    said = validated(statement.predicate, _Predicate, "checkpoint of an audit log")
    return Checkpoint(said.sequence, Digest(f"sha256:{statement.subjects[0].digest['sha256']}"), said.at, key)


def read_lines(file: Path) -> Sequence[tuple[Location, bytes]]:
    """The lines of a file of checkpoints, and where each is. Raises InvalidInput when it cannot be read."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(file)) from error
    return [(Location(file, number), line) for number, line in enumerate(lines, 1) if line.strip()]


class Checkpoints:
    """Writes checkpoints of a log into `file`.

    What was appended since the last one is verified first: a chain that does not hold is never signed again.
    """

    def __init__(
        self,
        audit: AuditLog,
        signer: CryptoSigner,
        file: Path,
        now: Callable[[], datetime],
        *,
        every: float = SECONDS,
    ) -> None:
        self._audit = audit
        self._signer = signer
        self._file = file
        self._now = now
        self._every = every
        self._last = self._latest()
        self._ending = threading.Event()

    def write(self) -> Head:
        """Add a checkpoint, if the log has grown since the last one, and return what it is over.

        Raises InvalidInput when the log was changed, Unavailable when it cannot be read, or the file written.
        """
        head = self._audit.follow(self._last)
        if head == self._last:
            return head
        line = sign(head, self._now(), self._signer)
        try:
            with self._file.open("ab") as stream:
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be written: {error.strerror}") from error
        self._last = head
        log.info("audit checkpoint: entry %d is %s", head.sequence, head.hash)
        return head

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write one after every so many entries, every so many seconds, and at the end of the block."""
        thread = threading.Thread(target=self._keep, name="checkpoints")
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._audit.many.set()
            thread.join()
            self._try()

    def _keep(self) -> None:
        last = time.monotonic()
        while not self._ending.is_set():
            self._audit.many.wait(max(0.0, last + self._every - time.monotonic()))
            self._audit.many.clear()
            last = time.monotonic()
            if not self._ending.is_set():
                self._try()

    def _try(self) -> None:
        try:
            self.write()
        except ComplianceError as error:
            log.error("there is no new checkpoint of the audit log: %s", error)
        except Exception:
            # The thread has to go on: whatever it is, the next try may go better.
            log.exception("there is no new checkpoint of the audit log")

    def _latest(self) -> Head:
        """What the newest checkpoint of this key in the file is over. A line that is none is left to `verify`."""
        latest = Head()
        own = TrustedKeys.of("gate", self._signer)
        for _, line in read_lines(self._file) if self._file.exists() else ():
            try:
                found = read(line, own)
            except InvalidInput:
                continue
            if found.sequence > latest.sequence:
                latest = Head(found.sequence, found.hash)
        return latest
