"""The work of telling people, beside the answering of requests: two threads, and nothing that a push waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from gate.identity.watched import Watched
from gate.notify.dates import Dates
from gate.notify.delivering import Delivering
from gate.notify.digests import Digests
from gate.notify.forming import Forming
from gate.notify.gathering import Gathering
from gate.notify.notify_file import NotifyFile
from gate.notify.outbox import Outbox
from gate.rounds import Rounds
from gate.rulebook import Rulebook
from gate.store import Store

LOOK_SECONDS: Final = 2.0
"""Between two looks into the audit log, and two into the outbox."""


class Notifying:
    """Tells the sinks of a notify file. `source` is the gate's URL; `count` is told what became of each try."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        file: Watched[NotifyFile],
        *,
        source: str,
        now: Callable[[], datetime],
        chance: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        database = store.database
        self._file = file
        self._rulebook = rulebook
        self._now = now
        self._gathering = Gathering(database, source, now)
        self._forming = Forming(database, source, now)
        self._dates = Dates(database, source, now)
        self._digests = Digests(store, self._dates, now)
        self._making = Rounds("making messages")
        self._sending = Rounds("sending messages")
        self.outbox = Outbox(database, now, chance)
        self._delivering = Delivering(self.outbox, now, count, lambda: self._sending.ending)
        self._known: object = None

    @contextmanager
    def going(self) -> Iterator[None]:
        """Tell people for as long as the block lasts."""
        with self._making.going(self.make, LOOK_SECONDS), self._sending.going(self.send, LOOK_SECONDS):
            yield

    def make(self) -> None:
        """Make the messages of what happened and what comes near. Raises InvalidInput where there are no rules."""
        file = self._file()
        if not file.sinks:
            return
        self._gathering.gather(file)
        self._forming.form(file)
        policies, bases = self._rulebook.policies(), self._rulebook.bases()
        known = (self._now().date(), policies.digest, tuple(one.digest for one in bases), file)
        if known != self._known:
            self._dates.tell(file, policies.waivers, bases)
            self._dates.forget()
            self._known = known
        self._digests.tell(file, policies.waivers, bases)

    def send(self) -> None:
        """Try to send what is to be sent."""
        if self._delivering.deliver(self._file()):
            self._sending.soon()  # there may be more than were claimed together
