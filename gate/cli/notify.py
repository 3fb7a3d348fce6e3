"""`mlgate notify`: try a sink, and see what waits to be sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import click

from compliance.errors import InvalidInput, Unavailable
from compliance.policy.wording import count
from gate.cli.database import data_option, opened
from gate.clock import utc_now
from gate.notify.events import Topic, TrialData
from gate.notify.messages import message
from gate.notify.notify_file import NotifyFile, Sink, read_notify
from gate.notify.outbox import Outbox
from gate.notify.sending import Answer, client, send
from gate.notify.tables import StoredDelivery
from gate.settings import Settings, read_settings

SHOWN: Final = 1000


@click.group()
def notify() -> None:
    """Who is told of what: try a sink, and see what waits to be sent.

    Sinks are in the notify file: notify.yaml in the data directory, or where MLGATE_NOTIFY says.
    """


@notify.command()
@click.argument("name", metavar="SINK")
@data_option
def test(name: str, data: Path | None) -> None:
    """Send a test message to a sink, once, and say what was answered; exit code 3 when it was not taken.

    \b
    Examples:
      mlgate notify test security
      MLGATE_NOTIFY=notify.yaml mlgate notify test vision-chat
    """
    settings = read_settings(data=data)
    sink = _sink(_file(settings), name)
    words = f"A test of the sink {name} by the gate at {settings.root}."
    made = message(sink, Topic.TEST, TrialData(message=words), utc_now(), settings.root)
    answer = asyncio.run(_try(sink, made))
    if not answer.taken:
        raise Unavailable(f"{name} did not take {made.id}: {answer.said}", remedy="Look at the receiver's log.")
    click.echo(f"{name} took {made.id}: {answer.said}")


@notify.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """Show the messages that wait to be sent, and those given up on: id, sink, event, what about, and why.

    \b
    Examples:
      mlgate notify list
      mlgate notify list --json | jq 'select(.failed != null)'
    """
    with opened(data) as database:
        waiting = Outbox(database, utc_now, lambda: 0.0).all(SHOWN)
    for one in waiting:
        click.echo(json.dumps(_members(one)) if as_json else _line(one))
    if not waiting and not as_json:
        click.echo("nothing waits to be sent")


async def _try(sink: Sink, delivery: StoredDelivery) -> Answer:
    async with client() as http:
        return await send(http, sink, delivery, utc_now)


def _file(settings: Settings) -> NotifyFile:
    path = settings.notify_file
    if not path.exists():
        raise InvalidInput(f"there is no notify file {path}", remedy="Write one, or name it in MLGATE_NOTIFY.")
    return read_notify(path)


def _sink(file: NotifyFile, name: str) -> Sink:
    sink = file.sink(name)
    if sink is None:
        there = ", ".join(one.name for one in file.sinks) or "none"
        raise InvalidInput(f"the notify file has no sink {name}", remedy=f"There are: {there}.")
    return sink


def _members(one: StoredDelivery) -> dict[str, object]:
    return {
        "id": one.id,
        "sink": one.sink,
        "event": one.topic,
        "about": one.about,
        "made": one.at.isoformat(timespec="seconds"),
        "tries": one.tries,
        "problem": one.problem,
        "due": None if one.failed else one.due.isoformat(timespec="seconds"),
        "failed": None if one.failed is None else one.failed.isoformat(timespec="seconds"),
    }


def _line(one: StoredDelivery) -> str:
    if one.failed is not None:
        state = f"given up {one.failed:%Y-%m-%dT%H:%MZ}"
    else:
        state = f"waits until {one.due:%Y-%m-%dT%H:%MZ}"
    why = f"tried {count(one.tries, 'time')}: {one.problem}" if one.tries else one.problem or "not tried"
    return "\t".join((one.id, one.sink, one.topic, one.about, state, why))
