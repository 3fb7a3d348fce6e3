"""A client of the distribution specification v1.1: blobs as streams, manifests, tags and referrers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, Self
from urllib.parse import urlencode, urljoin

import httpx
from pydantic import BaseModel, ValidationError

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.credentials import Credentials
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
)
from compliance.oci.referrers import as_referrer_entry, fallback_tag, parse_referrers
from compliance.oci.transport import RegistryError, Transport, is_loopback
from compliance.oci.upload import ONCE, Upload, passes
from compliance.retries import Retries

__all__ = ["Credentials", "RawManifest", "RegistryClient", "RegistryError"]

_ACCEPT: Final = {"Accept": ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))}


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as the registry stores it: its very bytes, the media type it is served with, its digest."""

    raw: bytes
    media_type: str
    digest: Digest

    def parse(self) -> Manifest | Index:
        return parse_manifest(self.raw, self.media_type)


class _TagList(BaseModel):
    tags: tuple[str, ...] | None = None


class RegistryClient:
    """One registry, `host[:port]`. May be used from several threads; close it, or use it in a `with`.

    Every method raises RegistryError when the registry answers with an error and Unavailable when it does
    not answer. Loopback hosts are spoken to in plain HTTP, all others over TLS, unless `plain_http` says.
    `retries` is for sending blobs and manifests: by default each is tried once.
    """

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None = None,
        plain_http: bool | None = None,
        retries: Retries = ONCE,
    ) -> None:
        self.registry = registry
        self._retries = retries
        plain = is_loopback(registry) if plain_http is None else plain_http
        self._transport = Transport(registry, credentials, plain_http=plain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def ping(self) -> None:
        """Ask whether a registry is there and lets us in."""
        with self._transport.send("GET", "/v2/", ""):
            pass

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size in bytes of a blob the registry has, or None."""
        with self._read("HEAD", f"/v2/{repository}/blobs/{digest}", repository, (200, 404)) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            return int(response.headers.get("Content-Length", "0"))

    @contextmanager
    def open_blob(self, repository: str, digest: Digest) -> Iterator[Iterator[bytes]]:
        """The blob as a stream. The iterator raises InvalidInput at its end when the bytes have another digest."""
        with self.open_claimed_blob(repository, digest) as chunks:
            yield _verified(chunks, digest, f"{self.registry}/{repository}")

    @contextmanager
    def open_claimed_blob(self, repository: str, digest: Digest) -> Iterator[Iterator[bytes]]:
        """Whatever the registry sends as the blob, in pieces as they arrive.

        Only for who holds the bytes against the digest before they count, as `Layout.write_stream` does.
        """
        with self._read("GET", f"/v2/{repository}/blobs/{digest}", repository) as response:
            yield response.iter_raw()

    def push_blob(
        self,
        repository: str,
        digest: Digest,
        size: int,
        open_: Callable[[], BinaryIO],
        on_progress: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - names the argument
        *,
        mount_from: str | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> bool:
        """Make the registry have the blob; True when bytes were sent, False when they were there already.

        `open_` opens the content, `size` bytes long, to be read from any place; it is called again when the
        registry wants to see credentials first, and after a cut. `on_progress` is told how many more bytes
        went out, fewer than none when some were lost. `mount_from` is a repository of the same registry that
        may have the blob. `pause` waits some seconds before another try.
        """
        upload = Upload(self._transport, repository, digest, size, open_, on_progress)
        return upload.run(self._retries, pause, mount_from)

    def has_manifest(self, repository: str, target: str) -> bool:
        """Whether a tag or digest is there to be pulled."""
        with self._read("HEAD", f"/v2/{repository}/manifests/{target}", repository, (200, 404)) as response:
            return response.status_code == httpx.codes.OK

    def get_manifest(self, repository: str, target: str) -> RawManifest:
        """The manifest behind a tag or digest. Raises InvalidInput when its bytes are not those of the digest."""
        with self._read("GET", f"/v2/{repository}/manifests/{target}", repository) as response:
            raw = self._transport.document(response)
        digest = Digest(target) if ":" in target else Digest.of(raw)
        if hashlib.new(digest.algorithm, raw).hexdigest() != digest.hex:
            raise InvalidInput(f"{self.registry}/{repository}@{target} answers with another manifest")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return RawManifest(raw, media_type, digest)

    def put_manifest(
        self,
        repository: str,
        target: str,
        raw: bytes,
        media_type: str,
        *,
        refer: bool = True,
        pause: Callable[[float], object] = time.sleep,
    ) -> Digest:
        """Store a manifest under a tag or its digest; returns the digest.

        Where the registry does not say that it indexes referrers (`OCI-Subject`), the manifest is also added
        to its subject's fallback tag (distribution specification, "Referrers Tag Schema"), unless `refer` says
        that nobody looks for it there.
        """
        failures = 0
        while True:
            try:
                indexed = self._put(repository, target, raw, media_type)
                break
            except (RegistryError, Unavailable) as error:
                failures += 1
                if failures >= self._retries.tries or not passes(error):
                    raise
                pause(self._retries.wait(failures))
        document = parse_manifest(raw, media_type)
        if refer and document.subject is not None and not indexed:
            self._add_to_fallback(repository, document.subject.digest, as_referrer_entry(raw, document))
        return Digest.of(raw)

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest; False when it is not there, or when the registry deletes nothing."""
        path = f"/v2/{repository}/manifests/{digest}"
        scope = _scope(repository, "delete")
        with self._transport.send("DELETE", path, scope, accept=(202, 404, 405)) as response:
            return response.status_code == httpx.codes.ACCEPTED

    def cancel_upload(self, repository: str, location: str) -> bool:
        """Give up the upload that the registry goes on with at `location`; False when there is none any more."""
        scope = _scope(repository, "pull,push")
        with self._transport.send("DELETE", location, scope, accept=(202, 204, 400, 404, 416)) as response:
            return response.status_code in {202, 204, 416}

    def referrers(
        self, repository: str, digest: Digest, artifact_type: str | None = None
    ) -> tuple[Descriptor, ...]:
        """What refers to `digest`: by the referrers API, or by the fallback tag where there is no such API."""
        query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
        pages = self._pages(repository, f"referrers/{digest}{query}")
        if pages is None:
            found = self._fallback(repository, digest)
        else:
            found = tuple(entry for page in pages for entry in parse_referrers(page).manifests)
        return tuple(entry for entry in found if artifact_type in (None, entry.artifact_type))

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository; none when the registry does not know it."""
        pages = self._pages(repository, "tags/list") or []
        return tuple(tag for page in pages for tag in _tag_list(page).tags or ())

    def _put(self, repository: str, target: str, raw: bytes, media_type: str) -> bool:
        """Put a manifest once; whether the registry says that it indexes its subject."""
        path = f"/v2/{repository}/manifests/{target}"
        headers = {"Content-Type": media_type}
        scope = _scope(repository, "pull,push")
        with self._transport.send(
            "PUT", path, scope, headers=headers, body=lambda: raw, accept=(201,)
        ) as response:
            return "OCI-Subject" in response.headers

    def _fallback(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        try:
            return parse_referrers(self.get_manifest(repository, fallback_tag(digest)).raw).manifests
        except RegistryError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return ()
            raise

    def _add_to_fallback(self, repository: str, subject: Digest, entry: Descriptor) -> None:
        present = self._fallback(repository, subject)
        if all(other.digest != entry.digest for other in present):
            raw = Index(manifests=(*present, entry)).to_json()
            self.put_manifest(repository, fallback_tag(subject), raw, OCI_INDEX)

    def _pages(self, repository: str, path: str) -> list[bytes] | None:
        """The bodies of a paginated answer (`Link: <…>; rel="next"`), or None when there is no such thing."""
        pages: list[bytes] = []
        target = f"/v2/{repository}/{path}"
        while True:
            with self._read("GET", target, repository, (200, 404)) as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    return pages or None
                pages.append(self._transport.document(response))
                following = response.links.get("next", {}).get("url")
            if not following:
                return pages
            target = urljoin(str(response.url), following)

    @contextmanager
    def _read(
        self, method: str, url: str, repository: str, accept: tuple[int, ...] = (200,)
    ) -> Iterator[httpx.Response]:
        scope = _scope(repository, "pull")
        with self._transport.send(method, url, scope, headers=_ACCEPT, accept=accept) as response:
            yield response


def _scope(repository: str, actions: str) -> str:
    return f"repository:{repository}:{actions}"


def _verified(chunks: Iterator[bytes], digest: Digest, place: str) -> Iterator[bytes]:
    state = hashlib.new(digest.algorithm)
    for chunk in chunks:
        state.update(chunk)
        yield chunk
    if state.hexdigest() != digest.hex:
        raise InvalidInput(f"the blob {digest} of {place} does not hold the bytes its digest names")


def _tag_list(raw: bytes) -> _TagList:
    try:
        return _TagList.model_validate_json(raw)
    except ValidationError as error:
        raise InvalidInput("the registry's list of tags is not one") from error
