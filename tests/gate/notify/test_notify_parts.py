"""Signatures, waiting, grouping and words, each by itself."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from compliance.oci.digest import Digest
from gate.notify.backoff import FIRST, GIVEN_UP_AFTER, LONGEST, is_over, wait_after
from gate.notify.digests import last_end
from gate.notify.events import AffectedImage, Cause, Topic, WaiverData
from gate.notify.grouping import Found, Notice, by_cause
from gate.notify.markdown import code, in_markdown
from gate.notify.notify_file import Every
from gate.notify.signing import parse_secret, signed

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([one]) * 32).decode() for one in (1, 2, 3))


def test_whoever_has_one_of_the_secrets_accepts_a_message_and_nobody_else():
    body = json.dumps({"a": "ü"}).encode()
    headers = dict(signed("msg_1", datetime.now(UTC), body, (parse_secret(OLD), parse_secret(NEW))))
    for secret in (OLD, NEW):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body, headers | {"webhook-id": "msg_2"})


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "secret", "whsec_!!!!", "whsec_" + "QUJD", "whsec_" + base64.b64encode(bytes(65)).decode()],
)
def test_a_weak_or_broken_secret_is_none(text):
    with pytest.raises(ValueError, match="24 to 64 random bytes"):
        parse_secret(text)


@given(
    tries=st.integers(1, 10_000), chance=st.floats(0, 1), asked=st.none() | st.timedeltas(min_value=timedelta())
)
def test_a_wait_is_never_absurd(tries, chance, asked):
    assert FIRST / 2 <= wait_after(tries, lambda: chance, asked) <= LONGEST


def test_waits_double_and_what_the_receiver_asks_for_counts():
    assert [wait_after(tries, lambda: 1.0).total_seconds() for tries in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert wait_after(1, lambda: 1.0, timedelta(minutes=2)) == timedelta(minutes=2)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert (is_over(now - GIVEN_UP_AFTER, now), is_over(now - GIVEN_UP_AFTER / 2, now)) == (True, False)


def notice(name: str, *keys: str) -> Notice:
    found = tuple(
        Found(cause=Cause(rule="r", check="c", key=key, message="m", fix="f"), culprit=f"{name} {key}")
        for key in keys
    )
    image = AffectedImage(
        repository=name, digest=Digest.of(name.encode()), culprit=found[0].culprit, decision="d", report="r"
    )
    return Notice(image=image, found=found)


NOTICES = st.dictionaries(
    st.sampled_from([f"r{number}" for number in range(12)]),
    st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=4, unique=True),
)


@given(found=NOTICES)
def test_every_image_is_told_of_once_under_a_cause_it_has(found):
    groups = by_cause(notice(name, *keys) for name, keys in found.items())
    assert sorted(image.repository for group in groups for image in group.images) == sorted(found)
    assert all(group.cause.key in found[image.repository] for group in groups for image in group.images)
    assert all(image.culprit.endswith(group.cause.key) for group in groups for image in group.images)
    keys = [group.cause.key for group in groups]
    assert len(keys) == len(set(keys)), "one message a cause"


def test_two_things_about_one_image_are_both_known():
    (group,) = by_cause([notice("a", "A"), notice("a", "B")])
    assert group.cause.key == "B", "the newest, where as many share each"
    groups = by_cause([notice("a", "A"), notice("a", "B"), notice("b", "A"), notice("c", "A")])
    assert [(group.cause.key, len(group.images)) for group in groups] == [("A", 3)]


@pytest.mark.parametrize(
    "text", ["<!channel> hi", "`@here`", "a\nb\r# c", "[x](https://evil.example)", "x" * 9999, "\x00\u202e", "``"]
)
def test_text_of_others_is_one_code_span(text):
    found = code(text)
    assert found.startswith("`")
    assert found.endswith("`")
    assert "`" not in found[1:-1]
    assert found.isprintable()
    assert not {"<", ">"} & set(found)
    assert len(found) < 300


def test_a_waiver_in_markdown():
    data = WaiverData(
        waiver="waivers/one.yaml",
        rule="no-known-critical",
        owner="vision@example.com",
        reason="It is not reached.",
        expires=date(2026, 12, 1),
        days_left=5,
        total=12,
        repositories=tuple(f"vision/{number}" for number in range(12)),
    )
    text = in_markdown(Topic.WAIVER_EXPIRING, data).splitlines()
    assert text[0] == "**Waiver `waivers/one.yaml` expires on 2026-12-01, in 5 days** (owner `vision@example.com`)"
    assert text[1] == "It excuses `no-known-critical` in 12 images: `It is not reached.`"
    assert text[-1] == "- and 2 more"


@pytest.mark.parametrize(
    ("now", "daily", "weekly"),
    [("2026-11-22T07:59", "2026-11-21", "2026-11-16"), ("2026-11-23T08:00", "2026-11-23", "2026-11-23")],
)
def test_digests_end_at_eight_each_day_or_each_monday(now, daily, weekly):
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert (str(last_end(at, Every.DAILY).date()), str(last_end(at, Every.WEEKLY).date())) == (daily, weekly)
