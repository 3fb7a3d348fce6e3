"""The client against real registries: CNCF distribution, open, with passwords and with tokens."""

from __future__ import annotations

import io
import os
from pathlib import Path

import bcrypt
import pytest

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, Descriptor, Index, Manifest
from compliance.oci.referrers import fallback_tag
from compliance.oci.registry import Credentials, RegistryClient, RegistryError

pytestmark = pytest.mark.acceptance


def push_blob(client: RegistryClient, repository: str, data: bytes, media_type: str) -> Descriptor:
    client.push_blob(repository, Digest.of(data), len(data), lambda: io.BytesIO(data))
    return Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))


def push_image(
    client: RegistryClient, repository: str, target: str | None = None, subject: Descriptor | None = None
) -> Descriptor:
    config = push_blob(client, repository, b'{"random":"%s"}' % os.urandom(8).hex().encode(), OCI_CONFIG)
    manifest = Manifest(
        config=config, layers=(push_blob(client, repository, os.urandom(100), OCI_LAYER_GZIP),), subject=subject
    )
    raw = manifest.to_json()
    client.put_manifest(repository, target or Digest.of(raw), raw, manifest.media_type)
    return Descriptor(media_type=manifest.media_type, digest=Digest.of(raw), size=len(raw))


@pytest.fixture
def client(start_registry):
    with RegistryClient(start_registry()) as opened:
        yield opened


def test_a_blob_is_streamed_there_and_back(client):
    data = os.urandom(3_000_000)
    seen: list[int] = []
    assert client.push_blob("team/a", Digest.of(data), len(data), lambda: io.BytesIO(data), seen.append)
    assert sum(seen) == len(data)
    assert len(seen) > 1
    assert client.blob_size("team/a", Digest.of(data)) == len(data)
    with client.open_blob("team/a", Digest.of(data)) as chunks:
        assert b"".join(chunks) == data


def test_a_blob_that_is_there_is_not_sent_again(client):
    data = os.urandom(100)
    client.push_blob("team/a", Digest.of(data), len(data), lambda: io.BytesIO(data))
    assert not client.push_blob("team/a", Digest.of(data), len(data), lambda: pytest.fail("was opened"))


def test_a_blob_of_another_repository_is_mounted_without_sending_it(client):
    data = os.urandom(100)
    client.push_blob("team/a", Digest.of(data), len(data), lambda: io.BytesIO(data))
    sent = client.push_blob(
        "team/b", Digest.of(data), len(data), lambda: pytest.fail("was opened"), mount_from="team/a"
    )
    assert not sent
    assert client.blob_size("team/b", Digest.of(data)) == 100


def test_a_blob_nowhere_to_be_mounted_from_is_sent(client):
    data = os.urandom(100)
    assert client.push_blob("team/b", Digest.of(data), 100, lambda: io.BytesIO(data), mount_from="team/none")


def test_a_blob_the_registry_does_not_have_has_no_size_and_cannot_be_opened(client):
    assert client.blob_size("team/a", Digest.of(b"x")) is None
    with pytest.raises(RegistryError) as caught, client.open_blob("team/a", Digest.of(b"x")):
        pass
    assert (caught.value.status, caught.value.code) == (404, "BLOB_UNKNOWN")


def test_bytes_that_are_not_those_of_the_digest_are_refused_by_the_registry(client):
    with pytest.raises(RegistryError) as caught:
        client.push_blob("team/a", Digest.of(b"other"), 4, lambda: io.BytesIO(b"some"))
    assert caught.value.code == "DIGEST_INVALID"


def test_a_blob_altered_in_the_registry_is_noticed_at_its_end(client, tmp_path):
    data = os.urandom(100)
    client.push_blob("team/a", Digest.of(data), len(data), lambda: io.BytesIO(data))
    (stored,) = (tmp_path / "registry-0" / "storage").rglob(f"blobs/sha256/*/{Digest.of(data).hex}/data")
    stored.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with (
        pytest.raises(InvalidInput, match="does not hold the bytes its digest names"),
        client.open_blob("team/a", Digest.of(data)) as chunks,
    ):
        list(chunks)


def test_who_checks_a_blob_himself_is_given_what_the_registry_sends(client, tmp_path):
    data = os.urandom(300_000)
    client.push_blob("team/a", Digest.of(data), len(data), lambda: io.BytesIO(data))
    (stored,) = (tmp_path / "registry-0" / "storage").rglob(f"blobs/sha256/*/{Digest.of(data).hex}/data")
    for sent in (data, data[::-1]):
        stored.write_bytes(sent)
        with client.open_claimed_blob("team/a", Digest.of(data)) as chunks:
            assert b"".join(chunks) == sent
    layout = Layout.create(tmp_path / "layout")
    with (
        pytest.raises(InvalidInput, match="does not match its digest"),
        client.open_claimed_blob("team/a", Digest.of(data)) as chunks,
    ):
        layout.write_stream(chunks, Digest.of(data))
    assert not layout.has(Digest.of(data))


def test_a_manifest_is_found_by_tag_and_by_digest(client):
    image = push_image(client, "team/a", "v1")
    for target in ("v1", image.digest):
        found = client.get_manifest("team/a", target)
        assert (found.digest, found.media_type) == (image.digest, image.media_type)
        assert isinstance(found.parse(), Manifest)
    assert client.has_manifest("team/a", "v1")
    assert not client.has_manifest("team/a", "v2")
    assert client.tags("team/a") == ("v1",)
    assert client.tags("team/none") == ()


def test_a_manifest_that_is_not_there_is_an_error_with_the_registrys_code_and_words(client):
    with pytest.raises(RegistryError) as caught:
        client.get_manifest("team/a", "v1")
    assert (caught.value.status, caught.value.code) == (404, "MANIFEST_UNKNOWN")
    assert caught.value.reason == "manifest unknown"
    assert "/v2/team/a/manifests/v1" in str(caught.value)


def test_more_tags_than_a_page_are_all_found(client):
    image = push_image(client, "team/a", "v000")
    raw = client.get_manifest("team/a", "v000").raw
    for number in range(1, 105):
        client.put_manifest("team/a", f"v{number:03}", raw, image.media_type)
    assert len(client.tags("team/a")) == 105


def test_referrers_are_kept_under_the_fallback_tag_where_there_is_no_api(client):
    image = push_image(client, "team/a", "v1")
    first = push_image(client, "team/a", subject=image)
    second = push_image(client, "team/a", subject=image)
    assert [entry.digest for entry in client.referrers("team/a", image.digest)] == [first.digest, second.digest]
    assert fallback_tag(image.digest) in client.tags("team/a")
    assert client.referrers("team/a", image.digest, "application/vnd.acme.rocket") == ()
    assert client.referrers("team/a", first.digest) == ()


def test_a_referrer_pushed_twice_is_listed_once(client):
    image = push_image(client, "team/a", "v1")
    push_image(client, "team/a", "about", subject=image)
    about = client.get_manifest("team/a", "about")
    client.put_manifest("team/a", "about", about.raw, about.media_type)
    assert len(client.referrers("team/a", image.digest)) == 1


def test_an_index_is_stored_and_read(client):
    index = Index(manifests=(push_image(client, "team/a"),))
    digest = client.put_manifest("team/a", "all", index.to_json(), OCI_INDEX)
    assert client.get_manifest("team/a", digest).parse() == index


def test_with_passwords_only_the_right_one_gets_in(start_registry, tmp_path):
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(rounds=4)).decode()
    (tmp_path / "htpasswd").write_text(f"ci:{hashed}\n")
    host = start_registry({"htpasswd": {"realm": "the test", "path": str(tmp_path / "htpasswd")}})
    with RegistryClient(host, credentials=Credentials("ci", "secret")) as client:
        push_image(client, "team/a", "v1")
    for credentials in (None, Credentials("ci", "wrong")):
        with RegistryClient(host, credentials=credentials) as client, pytest.raises(RegistryError) as caught:
            client.get_manifest("team/a", "v1")
        assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
        assert caught.value.remedy == f"Log in first: docker login {host}"


@pytest.fixture
def behind_tokens(start_registry, token_service, tmp_path) -> str:
    return start_registry(
        {
            "token": {
                "realm": token_service.url,
                "service": "the-registry",
                "issuer": "the-test",
                "rootcertbundle": str(tmp_path / "root.pem"),
            }
        }
    )


def test_tokens_are_asked_for_by_scope_and_kept(behind_tokens, token_service):
    with RegistryClient(behind_tokens, credentials=token_service.credentials) as client:
        push_image(client, "team/a", "v1")
        client.get_manifest("team/a", "v1")
    assert {frozenset(scope.rpartition(":")[2].split(",")) for scope in token_service.scopes} == {
        frozenset({"pull"}),
        frozenset({"pull", "push"}),
    }
    assert len(token_service.scopes) == 2


def test_who_the_token_service_turns_down_is_unauthorised(behind_tokens, token_service):
    with RegistryClient(behind_tokens, credentials=Credentials("ci", "wrong")) as client:
        with pytest.raises(RegistryError) as caught:
            client.get_manifest("team/a", "v1")
        assert caught.value.status == 401


def test_a_registry_that_is_not_there_is_unavailable():
    with RegistryClient("127.0.0.1:1") as client, pytest.raises(Unavailable) as caught:
        client.ping()
    assert "127.0.0.1:1" in caught.value.message
    assert caught.value.remedy


def test_what_is_no_registry_is_unavailable(tmp_path: Path):
    with RegistryClient("127.0.0.1:1", plain_http=False) as client, pytest.raises(Unavailable):
        client.blob_size("team/a", Digest.of(b""))
