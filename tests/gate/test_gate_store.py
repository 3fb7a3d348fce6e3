from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST
from compliance.policy.decision import Mode, Verdict
from gate.blob_records import Forgotten
from gate.schema import Kind, StoredDecision, StoredManifest, StoredStatement
from gate.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IMAGE, OTHER, LAYER = Digest.of(b"image"), Digest.of(b"other"), Digest.of(b"layer")


@pytest.fixture
def store(place):
    opened = Store(place)
    yield opened
    opened.close()


def decision(
    id_: str,
    *,
    verdict: Verdict = Verdict.REFUSED,
    at: datetime = AT,
    tag: str | None = "v1",
    mode: Mode = Mode.ENFORCE,
):
    return StoredDecision(
        id=id_,
        repository="team/image",
        digest=IMAGE,
        tag=tag,
        user="ci",
        at=at,
        verdict=verdict,
        line="REFUSED team/image: because",
        inputs=OTHER,
        policy_digest=OTHER,
        evidence_digest=OTHER,
        databases="",
        decision=b"{}",
        evidence=b"{}",
        mode=mode,
    )


def manifest(digest: Digest = IMAGE, *, subject: Digest | None = None, decided: str | None = None):
    return StoredManifest(
        repository="team/image",
        digest=digest,
        media_type=OCI_MANIFEST,
        kind=Kind.IMAGE,
        raw=b"{}",
        subject=subject,
        decision=decided,
        at=AT,
    )


def readable(store: Store, repository: str) -> bool:
    return store.blobs.stored_as(repository, LAYER, published=True) is not None


def test_a_decision_is_kept_as_it_was(store):
    store.record(decision("a", at=AT.astimezone(timezone(timedelta(hours=5)))))
    found = store.decision("a")
    assert (found.id, found.digest, found.verdict, found.at) == ("a", IMAGE, Verdict.REFUSED, AT)
    assert found.at.tzinfo is UTC


def test_the_newest_decision_counts(store):
    store.record(decision("old", at=AT))
    store.record(decision("new", at=AT + timedelta(seconds=1), verdict=Verdict.ADMITTED))
    assert store.latest_decision("team/image", IMAGE).id == "new"
    assert store.latest_decision("team/elsewhere", IMAGE) is None
    assert store.latest_refusal("team/image", "v1") is None
    assert store.latest_refusal("team/image", IMAGE) is None


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.UNDECIDABLE])
def test_a_refusal_is_found_by_tag_and_by_digest(store, verdict):
    store.record(decision("a", verdict=verdict))
    assert store.latest_refusal("team/image", "v1").id == "a"
    assert store.latest_refusal("team/image", IMAGE).id == "a"
    assert store.latest_refusal("team/image", "v2") is None


def test_nothing_is_readable_before_it_is_published(store):
    store.record(decision("a", verdict=Verdict.ADMITTED))
    assert store.manifest("team/image", IMAGE) is None
    assert store.manifest("team/image", "v1") is None
    assert not readable(store, "team/image")


def test_publishing_makes_manifest_blobs_and_tag_readable_in_one_repository(store):
    store.record(decision("a", verdict=Verdict.ADMITTED))
    for repository in ("team/image", "team/elsewhere"):
        store.blobs.keep(repository, LAYER, LAYER)
    store.publish(manifest(decided="a"), [LAYER, LAYER], "v1")
    assert store.manifest("team/image", IMAGE).raw == b"{}"
    assert store.manifest("team/image", "v1").digest == IMAGE
    assert readable(store, "team/image")
    assert store.manifest("team/elsewhere", IMAGE) is None
    assert not readable(store, "team/elsewhere")


def test_a_manifest_of_an_unrecorded_decision_cannot_be_published_and_leaves_nothing_behind(store):
    with pytest.raises(Unavailable):
        store.publish(manifest(decided="never-recorded"), [LAYER], "v1")
    assert store.manifest("team/image", IMAGE) is None
    assert store.tags("team/image") == []
    assert not readable(store, "team/image")


def test_a_tag_moves_to_what_was_published_last(store):
    store.publish(manifest(IMAGE), [], "v1")
    store.publish(manifest(OTHER), [], "v1")
    assert store.manifest("team/image", "v1").digest == OTHER
    assert store.manifest("team/image", IMAGE) is not None


def test_tags_come_in_order_and_in_pages(store):
    for tag in ("b", "a", "c"):
        store.publish(manifest(), [], tag)
    assert store.tags("team/image") == ["a", "b", "c"]
    assert store.tags("team/image", after="a", limit=1) == ["b"]


def test_referrers_are_those_of_the_repository(store):
    store.publish(manifest(OTHER, subject=IMAGE), [], None)
    assert [row.digest for row in store.referrers("team/image", IMAGE)] == [OTHER]
    assert store.referrers("team/elsewhere", IMAGE) == []


def test_a_statement_is_found_by_each_digest_it_is_about(store):
    statements = [
        StoredStatement(subject=subject, bundle_digest=LAYER, predicate_type="p", bundle=b"b", at=AT)
        for subject in (IMAGE, OTHER)
    ]
    store.publish(manifest(LAYER, subject=IMAGE), [], None, statements)
    assert [row.subject for row in store.statements([IMAGE])] == [IMAGE]
    assert {row.subject for row in store.statements([IMAGE, OTHER])} == {IMAGE, OTHER}


def test_what_was_recorded_is_there_after_the_store_is_opened_again(place):
    first = Store(place)
    first.record(decision("a"))
    # The first one is left as a killed process leaves it, neither closed nor checkpointed.
    second = Store(place)
    assert second.decision("a") is not None
    second.close()
    first.close()


def test_many_threads_may_publish_the_same_manifest(store):
    failures: list[BaseException] = []

    def publish(number: int) -> None:
        try:
            store.publish(manifest(), [LAYER], f"v{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.tags("team/image")) == 16


def test_a_database_that_cannot_be_used_is_unavailable(tmp_path):
    (tmp_path / "gate.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(Unavailable, match="cannot be used"):
        Store(tmp_path / "gate.db")


def test_what_was_let_in_by_audit_is_no_refusal(store):
    store.record(decision("a", mode=Mode.AUDIT))
    assert store.latest_refusal("team/image", "v1") is None
    assert store.latest_decision("team/image", IMAGE).mode is Mode.AUDIT


def test_a_manifest_goes_with_its_tags_and_its_blobs_stay_pushed(store):
    store.blobs.keep("team/image", LAYER, LAYER)
    store.publish(manifest(), [LAYER], "v1")
    store.publish(manifest(OTHER), [], "v2")
    assert store.unpublish("team/image", IMAGE).digest == IMAGE
    assert store.unpublish("team/image", IMAGE) is None
    assert store.manifest("team/image", "v1") is None
    assert store.tags("team/image") == ["v2"]
    assert not readable(store, "team/image")
    assert store.blobs.stored_as("team/image", LAYER, published=False) == LAYER


def test_a_blob_stays_readable_while_any_manifest_is_made_of_it(store):
    store.blobs.keep("team/image", LAYER, LAYER)
    for digest in (IMAGE, OTHER):
        store.publish(manifest(digest), [LAYER], None)
    store.unpublish("team/image", IMAGE)
    assert readable(store, "team/image")
    store.unpublish("team/image", OTHER)
    assert not readable(store, "team/image")


def test_a_tag_goes_and_its_manifest_stays(store):
    store.publish(manifest(), [], "v1")
    assert store.untag("team/image", "v1")
    assert not store.untag("team/image", "v1")
    assert store.manifest("team/image", IMAGE) is not None


def test_a_blob_is_forgotten_and_what_it_is_stored_as_is_kept_for_others(store):
    long = Digest("sha512:" + "0" * 128)
    store.blobs.keep("team/image", LAYER, LAYER)
    store.blobs.keep("team/image", long, LAYER)
    assert store.blobs.all_stored_as("team/image", [LAYER, long, OTHER]) == {LAYER: LAYER, long: LAYER}
    assert store.blobs.forget("team/image", long) == Forgotten(LAYER, unused=False)
    assert store.blobs.forget("team/image", LAYER) == Forgotten(LAYER, unused=True)
    assert store.blobs.forget("team/image", LAYER) is None


def test_the_holders_of_a_blob_are_known(store):
    for repository in ("b", "a"):
        store.blobs.keep(repository, LAYER, LAYER)
    assert store.blobs.holders(LAYER) == ("a", "b")
    assert store.knows("a")
    assert not store.knows("c")


def test_a_secret_is_made_once_and_stays(store, place):
    made = store.secret("uploads")
    assert len(made) == 32
    assert made != store.secret("others")
    again = Store(place)
    assert again.secret("uploads") == made
    again.close()
