"""Telling people as the gate's settings say."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from gate.notify.backlog import Backlog
from gate.notify.notify_file import watch_notify
from gate.notify.notifying import Notifying
from gate.rulebook import Rulebook
from gate.settings import Settings
from gate.store import Store
from gate.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


@contextmanager
def telling(
    settings: Settings, store: Store, rulebook: Rulebook, metrics: Metrics, now: Callable[[], datetime]
) -> Iterator[Backlog]:
    """Tell people for as long as the block lasts, and give what is to be shown of it among the metrics.

    Raises InvalidInput when the notify file cannot be accepted.
    """
    file = watch_notify(settings.notify_file)
    if file().sinks and settings.public_url is None:
        log.warning("messages name the gate %s, which may be no address for others: set public-url", settings.root)
    notifying = Notifying(
        store,
        rulebook,
        file,
        source=settings.root,
        now=now,
        chance=random.random,
        count=lambda outcome: metrics.messages.labels(outcome).inc(),
    )
    with notifying.going():
        yield Backlog(notifying.outbox)
