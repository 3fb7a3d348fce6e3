"""What is left half done between a registry and the database is put right, once, and by one gate only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from compliance.oci.registry import RegistryClient
from gate.arrival import receive
from gate.cli import main
from gate.intents import Intents, Overtaken
from gate.publication import Publication, Ruling
from gate.reconciler import OTHERS, Reconciler
from gate.schema import Kind, StoredManifest
from gate.scratch import own_name, scratch
from gate.store import Store
from tests.gate.registry_process import Registry

pytestmark = pytest.mark.acceptance

REPOSITORY = "team/image"
UPLOADS_KEPT = timedelta(hours=1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("behind") / "registry", deletes=True)
    running.start()
    yield running
    running.stop()


@dataclass
class Gate:
    """As much of a gate as publishes and reconciles, by a clock of the test's."""

    store: Store
    registry: Registry
    name: str = "this"
    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __post_init__(self) -> None:
        self.intents = Intents(self.store._database, self.name, self.now)
        self.publication = Publication(self.store, self.intents, self.registry.client, self.now)
        self.reconciler = Reconciler(
            self.store,
            self.intents,
            self.publication,
            self.registry.client,
            self.now,
            uploads_kept=UPLOADS_KEPT,
        )

    def now(self) -> datetime:
        return self.at

    def publish(self, image, tag: str | None = None) -> None:
        with self.registry.client() as client:
            image.push_blobs(client, REPOSITORY)
        for blob in (image.manifest.config, *image.manifest.layers):
            self.store.blobs.keep(REPOSITORY, blob.digest, blob.digest)
        push = receive(REPOSITORY, tag or image.digest, "ci", image.raw, image.descriptor.media_type)
        self.publication.publish(push, Ruling(Kind.ARTIFACT))

    def leave_unpublished(self, image, tag: str) -> str:
        """As a gate that is killed after the registry has the manifest, and before readers see it."""
        with self.intents.work() as work, self.registry.client() as client:
            work.begin(REPOSITORY, image.digest, tag)
            image.push(client, REPOSITORY, tag)
            return work.ids[0]


@pytest.fixture
def gate(tmp_path: Path, registry: Registry) -> Iterator[Gate]:
    with closing(Store(tmp_path / "gate.db")) as store:
        yield Gate(store, registry)


@pytest.fixture
def client(registry: Registry) -> Iterator[RegistryClient]:
    with registry.client() as client:
        yield client


def test_a_publication_that_works_leaves_no_intent(gate, client, make_image):
    image = make_image()
    gate.publish(image, "v1")
    assert gate.intents.all() == []
    assert client.has_manifest(REPOSITORY, "v1")
    assert gate.reconciler.run() == ()


def test_what_was_never_published_is_taken_out_and_its_tag_goes_back(gate, client, make_image):
    before, image = make_image(), make_image()
    gate.publish(before, "v2")
    gate.leave_unpublished(image, "v2")
    assert client.get_manifest(REPOSITORY, "v2").digest == image.digest
    told = gate.reconciler.run(dry=True)
    assert [str(repair) for repair in told] == [
        f"{REPOSITORY}: take {image.digest}, which nobody may read, out of the registry",
        f"{REPOSITORY}: point v2 in the registry at {before.digest} again",
    ]
    assert client.get_manifest(REPOSITORY, "v2").digest == image.digest
    assert gate.reconciler.run() == told
    assert not client.has_manifest(REPOSITORY, image.digest)
    assert client.get_manifest(REPOSITORY, "v2").digest == before.digest
    assert gate.reconciler.run() == ()


def test_what_may_be_read_and_got_lost_is_put_again(gate, client, make_image):
    image = make_image()
    gate.publish(image, "v3")
    with gate.intents.work() as work:
        work.begin(REPOSITORY, image.digest)
        client.delete_manifest(REPOSITORY, image.digest)
    assert [repair.what for repair in gate.reconciler.run()] == [f"put {image.digest} into the registry again"]
    assert client.has_manifest(REPOSITORY, image.digest)
    assert gate.intents.all() == []


def test_a_deletion_that_stopped_halfway_is_finished(gate, client, make_image):
    image = make_image()
    gate.publish(image, "v4")
    with gate.intents.work() as work:
        work.begin(REPOSITORY, image.digest)
        gate.store.unpublish(REPOSITORY, image.digest, by="ci")
    assert len(gate.reconciler.run()) == 1
    assert not client.has_manifest(REPOSITORY, image.digest)


def test_what_this_process_is_at_is_left_alone(gate, client, make_image):
    image = make_image()
    with gate.intents.work() as work:
        work.begin(REPOSITORY, image.digest, "v5")
        image.push(client, REPOSITORY, "v5")
        assert gate.reconciler.run() == ()
    assert len(gate.reconciler.run()) == 1


@pytest.mark.parametrize("off", [OTHERS, -OTHERS])
def test_what_another_gate_is_at_is_settled_when_it_is_old_and_that_gate_cannot_finish_it(
    gate, registry, client, make_image, off
):
    other = Gate(gate.store, registry, "other")
    image = make_image()
    id_ = other.leave_unpublished(image, "v6")
    assert gate.reconciler.run() == ()
    gate.at += off
    assert len(gate.reconciler.run()) == 1
    assert not client.has_manifest(REPOSITORY, image.digest)
    push = receive(REPOSITORY, "v6", "ci", image.raw, image.descriptor.media_type)
    with pytest.raises(Overtaken, match="given up"):
        _publish_late(other, push, id_)
    assert gate.store.manifest(REPOSITORY, image.digest) is None


def _publish_late(gate: Gate, push, id_: str) -> None:
    row = StoredManifest(
        repository=push.repository,
        digest=push.digest,
        media_type=push.document.media_type,
        kind=Kind.ARTIFACT,
        raw=push.raw,
        decision=None,
        at=gate.now(),
        kept_as=push.digest,
    )
    gate.store.publish(row, (), push.tag, fulfils=(gate.name, [id_]))


def test_a_registry_that_is_down_is_tried_again(gate, registry, client, make_image):
    image = make_image()
    gate.leave_unpublished(image, "v7")
    registry.stop()
    try:
        (repair,) = gate.reconciler.run()
        assert repair.failed is not None
        assert len(gate.intents.all()) == 1
    finally:
        registry.start()
    assert len(gate.reconciler.run()) == 1
    assert not client.has_manifest(REPOSITORY, image.digest)


def test_an_upload_that_nobody_goes_on_with_is_given_up(gate, registry):
    with httpx.Client(base_url=registry.url, timeout=60) as http:
        begun = http.post(f"/v2/{REPOSITORY}/blobs/uploads/")
        location = httpx.URL(begun.headers["Location"]).raw_path.decode()
        moved = http.patch(location, content=b"half").headers["Location"]
        gate.intents.upload("upload", REPOSITORY, location)
        gate.at += UPLOADS_KEPT
        gate.intents.moved("upload", httpx.URL(moved).raw_path.decode())
        assert gate.reconciler.run() == ()
        assert http.get(moved).status_code == 204
        gate.at += UPLOADS_KEPT
        assert [repair.what for repair in gate.reconciler.run()] == ["give up an upload that nobody went on with"]
        assert http.get(moved).status_code == 404
    assert gate.intents.all() == []
    assert list(registry.storage.glob(f"docker/registry/v2/repositories/{REPOSITORY}/_uploads/*/data")) == []


def test_everything_is_held_against_a_registry_that_was_restored(gate, client, make_image):
    image, other = make_image(), make_image()
    gate.publish(image, "v8")
    gate.publish(other, "v9")
    client.delete_manifest(REPOSITORY, image.digest)
    layer = other.manifest.layers[0].digest
    with httpx.Client(base_url=gate.registry.url, timeout=60) as http:
        assert http.delete(f"/v2/{REPOSITORY}/blobs/{layer}").status_code == 202
    found = gate.reconciler.compare()
    assert {repair.what for repair in found} == {
        f"put {image.digest} into the registry again",
        f"point v8 in the registry at {image.digest} again",
        f"have {layer} of {other.digest} again",
    }
    assert [repair.failed is not None for repair in found if layer in repair.what] == [True]
    assert client.get_manifest(REPOSITORY, "v8").digest == image.digest


def test_the_command_tells_what_it_did(tmp_path, registry, client, make_image):
    data = tmp_path / "data"
    data.mkdir()
    name = own_name(data)
    assert own_name(data) == name
    image = make_image()
    with closing(Store(data / "gate.db")) as store:
        Gate(store, registry, name).leave_unpublished(image, "v10")
    command = ["reconcile", "--data", str(data), "--upstream", registry.url]
    told = CliRunner().invoke(main, [*command, "--dry-run"])
    assert (told.exit_code, told.output.splitlines()[-1]) == (0, "1 to be put right")
    done = CliRunner().invoke(main, command)
    assert done.output.splitlines()[0].startswith(f"{REPOSITORY}: take {image.digest}")
    assert CliRunner().invoke(main, [*command, "--all"]).output == "nothing was left half done\n"
    assert not client.has_manifest(REPOSITORY, image.digest)


def test_what_a_killed_gate_left_on_disk_is_swept_and_what_it_keeps_is_not(tmp_path):
    data = tmp_path / "data"
    for left in ("tmp/mlbuild-image-1", "cache/trivy/.new-1", ".key-1"):
        (data / left).mkdir(parents=True)
    (data / "cache" / "databases").mkdir()
    (data / "cache" / "databases" / ".new-2").write_text("half")
    (data / "cache" / "databases" / "whole").write_text("whole")
    with scratch(data):
        assert Path(tempfile.gettempdir()) == data / "tmp"
    found = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    assert found == ["cache/databases/whole"]
    assert not (data / "tmp").exists()
