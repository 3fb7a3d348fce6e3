from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from compliance.errors import InvalidInput
from gate.audit.entry import StoredEntry
from gate.audit.log import AuditLog
from gate.database import Database
from gate.identity.permissions import Action, Role
from gate.identity.robots import MARK, Robots, StoredRobot

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path):
    with closing(Database(tmp_path / "gate.db")) as database:
        yield database


@pytest.fixture
def robots(database, clock):
    return Robots(database, AuditLog(database, clock), clock)


@pytest.fixture
def secret(robots):
    return robots.create("ci", Role.PUSHER, ("team/**", "shared/base"), 90 * DAY, by="alice").encode()


def test_a_robot_logs_in_with_its_secret_and_may_do_what_it_was_made_for(robots, secret):
    robot = robots.log_in("robot+ci", secret)
    assert robot is not None
    assert robot.name == "robot+ci"
    assert robot.may(Action.PUSH, "team/image")
    assert robot.may(Action.PULL, "shared/base")
    assert not robot.sees("other/image")
    assert not robot.may(Action.DELETE, "team/image")


@pytest.mark.parametrize("given", [b"", b"wrong", b"mlgr_"])
def test_nothing_but_the_secret_will_do(robots, secret, given):
    assert robots.log_in("robot+ci", given) is None
    assert robots.log_in("robot+ci", secret + b"x") is None
    assert robots.log_in("robot+nobody", secret) is None


def test_secrets_are_long_differ_and_are_not_stored(robots, secret, database, tmp_path):
    other = robots.create("other", Role.PULLER, ("**",), DAY, by="alice")
    assert other.startswith(MARK)
    assert len(other) > 40
    assert other != secret.decode()
    database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("gate.db*"))
    assert other.encode() not in kept
    assert secret not in kept


def test_a_secret_ends(robots, secret, clock):
    clock.now = START + 90 * DAY
    assert robots.log_in("robot+ci", secret) is None
    (robot,) = robots.all()
    assert robot.state(clock.now) == "expired"


def test_after_a_rotation_both_secrets_hold_for_a_while(robots, secret, clock):
    fresh = robots.rotate("ci", 90 * DAY, DAY, by="alice").encode()
    assert robots.log_in("robot+ci", secret) is not None
    assert robots.log_in("robot+ci", fresh) is not None
    assert robots.all()[0].state(clock.now) == "rotating"
    clock.now = START + DAY
    assert robots.log_in("robot+ci", secret) is None
    assert robots.log_in("robot+ci", fresh) is not None
    assert robots.all()[0].state(clock.now) == "active"


def test_an_overlap_does_not_make_the_old_secret_live_longer(robots, secret, clock):
    clock.now = START + 90 * DAY - timedelta(hours=1)
    robots.rotate("ci", 90 * DAY, 30 * DAY, by="alice")
    clock.now = START + 90 * DAY
    assert robots.log_in("robot+ci", secret) is None


def test_a_rotation_without_overlap_ends_the_old_secret_at_once(robots, secret):
    robots.rotate("ci", 90 * DAY, timedelta(0), by="alice")
    assert robots.log_in("robot+ci", secret) is None


def test_a_revoked_robot_is_out_and_its_name_is_not_given_again(robots, secret, clock):
    assert robots.revoke("ci", by="alice")
    assert not robots.revoke("ci", by="alice")
    assert robots.log_in("robot+ci", secret) is None
    assert robots.all()[0].state(clock.now) == "revoked"
    with pytest.raises(InvalidInput, match="there is a robot 'ci' already, or there was"):
        robots.create("ci", Role.ADMIN, ("**",), DAY, by="alice")
    with pytest.raises(InvalidInput, match="was revoked"):
        robots.rotate("ci", DAY, DAY, by="alice")


@pytest.mark.parametrize(
    ("name", "patterns", "message"),
    [
        ("CI", ("team/**",), "cannot be the name of a robot"),
        ("", ("team/**",), "cannot be the name of a robot"),
        ("a+b", ("team/**",), "cannot be the name of a robot"),
        ("x" * 64, ("team/**",), "cannot be the name of a robot"),
        ("ci", ("Team/**",), "can fit no repository"),
        ("ci", (), "needs repositories"),
    ],
)
def test_what_makes_no_sense_is_not_made(robots, name, patterns, message):
    with pytest.raises(InvalidInput, match=message):
        robots.create(name, Role.PULLER, patterns, DAY, by="alice")
    assert robots.all() == []


def test_an_unknown_robot_is_a_mistake(robots):
    with pytest.raises(InvalidInput, match="no robot 'none'"):
        robots.revoke("none", by="alice")


def test_the_audit_log_is_told_of_every_change_without_the_secret(robots, secret, database):
    robots.rotate("ci", DAY, DAY, by="bob")
    robots.revoke("ci", by="carol")
    with database.reading() as session:
        told = [(entry.action, entry.actor, entry.detail) for entry in session.scalars(select(StoredEntry))]
        stored = session.get(StoredRobot, "ci")
    assert told == [
        ("robot-created", "alice", "robot+ci is pusher in team/** shared/base"),
        ("robot-changed", "bob", "robot+ci has a new secret"),
        ("robot-removed", "carol", "robot+ci is revoked"),
    ]
    assert stored is not None
    assert len(stored.secret) == 32
