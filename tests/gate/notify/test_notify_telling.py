"""From what happened to what a receiver has: a real database, real rules, a real server, verified signatures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.bases import read_bases
from compliance.shipped import shipped
from gate.identity.watched import Watched
from gate.notify.backoff import GIVEN_UP_AFTER
from gate.notify.dates import Dates
from gate.notify.events import Topic, TrialData
from gate.notify.messages import message
from gate.notify.notify_file import watch_notify
from gate.notify.notifying import Notifying
from gate.notify.outbox import WAITING
from gate.notify.tables import StoredDelivery
from gate.rulebook import Rulebook
from gate.schema import StoredDecision
from gate.store import Store
from tests.gate.notify.decisions import recorded, waiver_until
from tests.gate.notify.receiver import Receiver, receiving

SOURCE = "https://gate.example.com"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
POLICY = """\
name: any
rules: [{id: no-known-critical, check: vulnerabilities, effect: deny, why: It is known., fix: Raise it.}]
"""


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class Site:
    """A gate's database, rules and notify file, without its server."""

    root: Path
    store: Store
    receiver: Receiver
    clock: Clock
    counted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("policies/waivers", "bases", "keys"):
            (self.root / name).mkdir(parents=True)
        (self.root / "policies/any.yaml").write_text(POLICY)
        (self.root / "hook.secret").write_text(SECRET + "\n")
        self.sink()
        self.notifying = self.another()
        self.notifying.make()  # what happens from now on is told

    def sink(self, more: str = "", also: str = "") -> None:
        text = f"name: events, url: '{self.receiver.url}', secrets: [{{file: hook.secret}}], window: 10{more}"
        (self.root / "notify.yaml").write_text(f"sinks: [{{{text}}}]\n{also}")

    def another(self, store: Store | None = None) -> Notifying:
        """A gate on the database."""
        rulebook = Rulebook(
            policies=self.root / "policies",
            bases=self.root / "bases",
            keys=self.root / "keys",
            cache=self.root / "cache",
            sightings=self.store.sightings,
            trivy=None,
            now=self.clock,
        )
        file: Watched = watch_notify(self.root / "notify.yaml")
        return Notifying(
            store or self.store,
            rulebook,
            file,
            source=SOURCE,
            now=self.clock,
            chance=lambda: 1.0,
            count=self.counted.append,
        )

    def tell(self) -> None:
        """A look into the log, a look when the window has passed, and a try to send."""
        self.notifying.make()
        self.clock.pass_by(timedelta(seconds=11))
        self.notifying.make()
        self.notifying.send()


@pytest.fixture
def site(tmp_path: Path, place) -> Iterator[Site]:
    clock = Clock()
    with closing(Store(place, clock)) as store, receiving(Receiver(SECRET)) as receiver:
        yield Site(tmp_path / "site", store, receiver, clock)


def test_a_refused_push_is_an_event_that_others_can_read_and_verify(site):
    decision = recorded(site.store, site.clock(), "vision/iris", tag="v1")
    site.tell()
    (event,) = site.receiver.events()
    assert event.get_type() == "io.mlbuild.push.refused"
    assert event.get_source() == SOURCE
    assert event.get_subject() == f"vision/iris@{decision.digest}"
    headers, body = site.receiver.taken[0]
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == event.get_id() == json.loads(body)["id"]
    data = event.get_data()
    assert data["cause"]["key"] == "CVE-2026-0001"
    assert data["images"][0]["report"] == f"{SOURCE}/decisions/{decision.id}"
    assert (data["images"][0]["tag"], data["total"]) == ("v1", 1)
    assert site.counted == ["delivered"]
    assert site.notifying.outbox.all(10) == []


def test_an_owner_gets_one_message_a_cause_for_many_images(site):
    for number in range(60):
        recorded(
            site.store, site.clock(), f"vision/model-{number}", until=timedelta(days=7), owner="vision@example.com"
        )
        recorded(
            site.store, site.clock(), f"speech/model-{number}", until=timedelta(days=7), owner="speech@example.com"
        )
    site.tell()
    events = site.receiver.events()
    assert [event.get_type() for event in events] == ["io.mlbuild.image.deadline"] * 2
    by_owner = {event.get_data()["owner"]: event.get_data() for event in events}
    assert set(by_owner) == {"vision@example.com", "speech@example.com"}
    for owner, data in by_owner.items():
        assert data["total"] == 60
        assert len(data["images"]) == 50
        assert {image["repository"].split("/")[0] for image in data["images"]} == {owner.split("@")[0]}
    assert {event.get_subject() for event in events} == {"CVE-2026-0001"}


def test_an_image_with_two_causes_is_in_one_message_only(site):
    recorded(site.store, site.clock(), "vision/one", keys=("CVE-2026-0002", "CVE-2026-0001"))
    recorded(site.store, site.clock(), "vision/two", keys=("CVE-2026-0001",))
    recorded(site.store, site.clock(), "vision/three", keys=("CVE-2026-0003",))
    site.tell()
    told = {event.get_data()["cause"]["key"]: event.get_data()["total"] for event in site.receiver.events()}
    assert told == {"CVE-2026-0001": 2, "CVE-2026-0003": 1}


def test_deadline_denial_and_return_of_an_image_are_three_events(site):
    recorded(site.store, site.clock(), "vision/iris", until=timedelta(days=7))
    site.tell()
    recorded(site.store, site.clock(), "vision/iris", until=timedelta())
    site.tell()
    recorded(site.store, site.clock(), "vision/iris", again=True)
    site.tell()
    events = site.receiver.events()
    assert [event.get_type().removeprefix("io.mlbuild.image.") for event in events] == [
        "deadline",
        "denied",
        "complies",
    ]
    assert {event.get_data()["cause"]["key"] for event in events} == {"CVE-2026-0001"}


def test_only_what_is_new_is_the_cause_of_a_further_deadline(site):
    recorded(site.store, site.clock(), "vision/iris", until=timedelta(days=7))
    site.tell()
    both = ("CVE-2026-0001", "CVE-2026-0009")
    recorded(site.store, site.clock(), "vision/iris", keys=both, until=timedelta(days=1))
    site.tell()
    assert [event.get_data()["cause"]["key"] for event in site.receiver.events()] == [*both]


def test_what_is_let_in_and_what_is_only_audited_is_told_to_nobody(site):
    recorded(site.store, site.clock(), "vision/iris", keys=())
    recorded(site.store, site.clock(), "vision/other", audited=True)
    site.tell()
    assert site.receiver.seen == []


def test_a_message_that_is_not_taken_is_tried_again_with_the_same_id(site):
    site.receiver.answers = [503, 302]
    site.receiver.headers = {"Location": "http://127.0.0.1:1/elsewhere"}
    recorded(site.store, site.clock(), "vision/iris")
    site.tell()
    site.notifying.send()
    assert len(site.receiver.seen) == 1, "not before its time"
    for wait in (5, 10):
        site.clock.pass_by(timedelta(seconds=wait))
        site.notifying.send()
    (event,) = site.receiver.events()
    assert {headers["webhook-id"] for headers, _ in site.receiver.seen} == {event.get_id()}
    assert len({body for _, body in site.receiver.seen}) == 1
    assert site.counted == ["retried", "retried", "delivered"]


def test_a_message_is_given_up_on_after_three_days_and_stays_in_the_list(site, caplog):
    recorded(site.store, site.clock(), "vision/iris")
    site.receiver.answers = [500] * 100
    site.tell()
    site.clock.pass_by(GIVEN_UP_AFTER)
    site.notifying.send()
    (failed,) = site.notifying.outbox.all(10)
    assert (failed.failed, failed.problem) == (site.clock(), "500 Internal Server Error")
    assert site.counted == ["retried", "given-up"]
    site.clock.pass_by(timedelta(days=1))
    site.notifying.send()
    assert len(site.receiver.seen) == 2
    assert "given up: events is not told of push.refused vision/iris@sha256:" in caplog.text
    assert "hidden" not in caplog.text
    assert SECRET not in caplog.text


def test_a_message_for_a_sink_that_is_no_more_is_given_up_on_in_time(site):
    recorded(site.store, site.clock(), "vision/iris")
    site.receiver.answers = [500]
    site.tell()
    (site.root / "notify.yaml").write_text("sinks: []\n")
    site.notifying.send()
    assert site.notifying.outbox.counts().failed == 0
    site.clock.pass_by(GIVEN_UP_AFTER)
    site.notifying.send()
    assert site.notifying.outbox.counts().failed == 1
    site.clock.pass_by(timedelta(days=30))
    site.notifying.send()
    assert site.notifying.outbox.all(10) == []


def test_an_entry_that_was_tampered_with_keeps_nobody_from_the_others(site, caplog):
    broken = recorded(site.store, site.clock(), "vision/broken")
    with site.store.database.writing() as session:
        session.get(StoredDecision, broken.id).decision = b"{}"
    recorded(site.store, site.clock(), "vision/iris")
    site.tell()
    (event,) = site.receiver.events()
    assert [image["repository"] for image in event.get_data()["images"]] == ["vision/iris"]
    assert f"nobody is told of decision {broken.id}" in caplog.text


def test_a_receiver_that_is_down_keeps_no_other_waiting(site):
    site.sink(also="")
    with receiving(Receiver(SECRET, answers=[500])) as other:
        text = (
            (site.root / "notify.yaml")
            .read_text()
            .replace(
                "]\n", f", {{name: other, url: '{other.url}', secrets: [{{file: hook.secret}}], window: 10}}]\n"
            )
        )
        (site.root / "notify.yaml").write_text(text)
        site.notifying.make()
        recorded(site.store, site.clock(), "vision/iris")
        site.tell()
        assert (len(site.receiver.taken), len(other.seen), len(other.taken)) == (1, 1, 0)


def test_two_gates_make_and_send_each_message_once(site):
    other = site.another()
    for number in range(5):
        recorded(site.store, site.clock(), f"vision/{number}")
    for gate in (other, site.notifying):
        gate.make()
    site.clock.pass_by(timedelta(seconds=11))
    for gate in (other, site.notifying):
        gate.make()
    claimed = site.notifying.outbox.claim(["events"])
    assert len(claimed) == 1
    other.send()
    assert site.receiver.seen == [], "the other gate leaves it to the one that is at it"
    site.clock.pass_by(timedelta(minutes=2))
    other.send()
    assert len(site.receiver.events()) == 1, "which was killed"


def test_a_sink_that_takes_nothing_fills_up_and_nothing_is_lost(site):
    def waiting(number: int) -> StoredDelivery:
        return message(sink, Topic.TEST, TrialData(message=str(number)), site.clock(), SOURCE)

    (sink,) = watch_notify(site.root / "notify.yaml")().sinks
    with site.store.database.writing() as session:
        session.add_all(waiting(number) for number in range(WAITING))
    recorded(site.store, site.clock(), "vision/iris")
    recorded(site.store, site.clock(), "vision/other", keys=("CVE-2026-0002",))
    site.notifying.make()
    site.clock.pass_by(timedelta(seconds=11))
    for made in range(3):
        site.notifying.make()
        waiting = site.notifying.outbox.all(2 * WAITING)
        assert len(waiting) == WAITING
        assert [one.topic for one in waiting].count("push.refused") == made
        site.notifying.outbox.taken(waiting[0])


def test_bases_are_told_of_at_ninety_and_thirty_days_and_when_they_have_ended(site):
    base = min(read_bases(shipped("base-images")), key=lambda one: one.end_of_life)
    told = []
    for days in (91, 90, 60, 30, 1, 0, -30):
        site.clock.now = base.end_of_life - timedelta(days=days)
        dates = Dates(site.store.database, SOURCE, site.clock)
        told.append(dates.tell(watch_notify(site.root / "notify.yaml")(), (), [base]))
    assert told == [0, 1, 0, 1, 0, 1, 0]
    site.notifying.send()
    events = site.receiver.aged_events()
    assert [event.get_type() for event in events] == ["io.mlbuild.base.ending"] * 2 + ["io.mlbuild.base.ended"]
    assert {event.get_subject() for event in events} == {base.name}


def test_a_digest_is_sent_when_a_day_has_ended_and_only_once(site):
    site.sink(", digest: daily")
    recorded(site.store, site.clock(), "vision/iris")
    site.notifying.make()
    assert site.notifying.outbox.all(10) == []
    site.clock.pass_by(timedelta(days=1))
    for _ in range(2):
        site.notifying.make()
    site.notifying.send()
    digests = [event for event in site.receiver.aged_events() if event.get_type() == "io.mlbuild.digest"]
    assert len(digests) == 1
    assert "judged" in digests[0].get_data()["markdown"]


def test_a_chat_gets_markdown(site):
    site.sink(", format: markdown-chat")
    recorded(site.store, site.clock(), "vision/iris", tag="v1")
    site.tell()
    ((headers, body),) = site.receiver.taken
    assert headers["content-type"] == "application/json"
    text = json.loads(body)["text"].splitlines()
    assert text[0] == "**1 push refused**: `no-known-critical`, `CVE-2026-0001`"
    assert text[-1].startswith(f"- `vision/iris:v1`: {SOURCE}/decisions/")


def test_owner_and_repositories_choose_who_is_told(site):
    site.sink(
        ", repositories: ['vision/**'], owner: Vision@example.com",
        "owners: [{owner: vision@example.com, repositories: ['vision/iris']}]\n",
    )
    recorded(site.store, site.clock(), "vision/iris", owner="somebody@example.com")
    recorded(site.store, site.clock(), "vision/other", owner="somebody@example.com")
    recorded(site.store, site.clock(), "vision/labelled", owner="vision@example.com")
    recorded(site.store, site.clock(), "speech/labelled", owner="vision@example.com")
    site.tell()
    (event,) = site.receiver.events()
    assert [image["repository"] for image in event.get_data()["images"]] == ["vision/iris", "vision/labelled"]


def test_a_waiver_is_told_of_once_before_and_once_after_it_expires(site):
    (site.root / "policies/waivers/one.yaml").write_text(waiver_until(site.clock().date() + timedelta(days=5)))
    recorded(site.store, site.clock(), "vision/iris", keys=(), waived="waivers/one.yaml")
    site.tell()
    site.tell()
    (event,) = site.receiver.aged_events()
    assert event.get_type() == "io.mlbuild.waiver.expiring"
    assert event.get_subject() == "waivers/one.yaml"
    site.clock.pass_by(timedelta(days=6))
    site.tell()
    assert [one.get_type() for one in site.receiver.aged_events()] == [
        "io.mlbuild.waiver.expiring",
        "io.mlbuild.waiver.expired",
    ]
