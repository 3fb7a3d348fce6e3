"""Sends what is in the outbox: all sinks at once, the messages of each one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from gate.notify.notify_file import NotifyFile, Sink
from gate.notify.outbox import Outbox
from gate.notify.sending import Answer, client, send
from gate.notify.tables import StoredDelivery
from gate.telemetry.logs import fields

GLANCE_SECONDS: Final = 0.2
"""How often it is looked whether the gate is being stopped."""

TIDY_EVERY: Final = timedelta(hours=1)
"""Between two looks for what is not to be kept any more."""

Tried = tuple[StoredDelivery, Answer | None]
"""A message, and what became of it; None where it was not tried."""

log = logging.getLogger(__name__)


class Delivering:
    """`count` is told what became of each try: delivered, retried or given-up."""

    def __init__(
        self,
        outbox: Outbox,
        now: Callable[[], datetime],
        count: Callable[[str], None],
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._outbox = outbox
        self._now = now
        self._count = count
        self._ending = ending
        self._tidied: datetime | None = None

    def deliver(self, file: NotifyFile) -> int:
        """Try all whose time has come, and return how many that were."""
        names = [sink.name for sink in file.sinks]
        self._tidy(names)
        claimed = sorted(self._outbox.claim(names), key=lambda one: one.sink)
        if not claimed:
            return 0
        batches = [(file.sink(name), list(batch)) for name, batch in groupby(claimed, key=lambda one: one.sink)]
        results, broken = asyncio.run(self._send([(sink, batch) for sink, batch in batches if sink is not None]))
        for delivery, answer in results:
            if answer is not None:
                self._note(delivery, answer)
        self._outbox.release([delivery for delivery, answer in results if answer is None])
        if broken:
            raise broken[0]
        return len(claimed)

    def _tidy(self, names: Sequence[str]) -> None:
        now = self._now()
        if self._tidied is None or not timedelta() <= now - self._tidied < TIDY_EVERY:
            for orphan in self._outbox.tidy(names):
                self._given_up(orphan, orphan.problem)
            self._tidied = now

    async def _send(
        self, batches: Sequence[tuple[Sink, Sequence[StoredDelivery]]]
    ) -> tuple[Sequence[Tried], Sequence[Exception]]:
        """What became of each message, and defects that kept some from being tried."""
        results: dict[str, Tried] = {one.id: (one, None) for _, batch in batches for one in batch}
        async with client() as http:

            async def one_after_the_other(sink: Sink, batch: Sequence[StoredDelivery]) -> None:
                for delivery in batch:
                    answer = await send(http, sink, delivery, self._now)
                    results[delivery.id] = (delivery, answer)
                    if answer.down:
                        break

            tasks = [asyncio.create_task(one_after_the_other(*batch)) for batch in batches]
            waiting = set(tasks)
            while waiting and not self._ending():
                _, waiting = await asyncio.wait(waiting, timeout=GLANCE_SECONDS)
            for task in waiting:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        return list(results.values()), [one for one in ended if isinstance(one, Exception)]

    def _note(self, delivery: StoredDelivery, answer: Answer) -> None:
        if answer.taken:
            self._outbox.taken(delivery)
            self._count("delivered")
            log.info("told %s of %s %s", delivery.sink, delivery.topic, delivery.about, extra=_fields(delivery))
        elif self._outbox.not_taken(delivery, answer.said, answer.asked, down=answer.down):
            self._given_up(delivery, answer.said)
        else:
            self._count("retried")
            log.warning(
                "%s was not told of %s %s: %s",
                delivery.sink,
                delivery.topic,
                delivery.about,
                answer.said,
                extra=_fields(delivery),
            )

    def _given_up(self, delivery: StoredDelivery, problem: str) -> None:
        self._count("given-up")
        log.error(
            "given up: %s is not told of %s %s: %s",
            delivery.sink,
            delivery.topic,
            delivery.about,
            problem,
            extra=_fields(delivery),
        )


def _fields(delivery: StoredDelivery) -> dict[str, dict[str, object]]:
    return fields(sink=delivery.sink, topic=delivery.topic, message_id=delivery.id)
