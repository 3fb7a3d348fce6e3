"""What clients ask of the gate, and what they are told."""

from __future__ import annotations

import httpx

from compliance.oci.digest import Digest
from tests.crash.content import Item
from tests.crash.counts import Counts
from tests.crash.model import Answer, Model, Told
from tests.crash.world import World


class Clients:
    """Requests to the gate of a world. Blobs that are acknowledged go into the model."""

    def __init__(self, world: World, model: Model, counts: Counts) -> None:
        self._world = world
        self._model = model
        self._counts = counts

    def push(self, repository: str, item: Item, tag: str | None) -> Told:
        if not self.push_blobs(repository, item):
            return self._told(repository, item, tag, Answer.REFUSED)
        return self.put(repository, item, tag)

    def push_blobs(self, repository: str, item: Item) -> bool:
        """False when not all are acknowledged, so that nothing can become of the manifest."""
        try:
            with self._world.client("ci") as client:
                for digest, data in item.blobs.items():
                    if not _push_blob(client, repository, digest, data, whole=digest.hex < "8"):
                        return False
                    self._model.blobs.add((repository, digest))
        except httpx.HTTPError:
            return False
        return True

    def put(self, repository: str, item: Item, tag: str | None) -> Told:
        path = f"/v2/{repository}/manifests/{tag or item.digest}"
        try:
            with self._world.client("ci") as client:
                answer = client.put(path, content=item.raw, headers={"Content-Type": item.media_type})
        except httpx.HTTPError:
            return self._told(repository, item, tag, Answer.LOST)
        if answer.status_code == 201:
            if item.nature.is_bad:
                self._counts.violations.append(f"1: {item.nature} was taken: {answer.text}")
            return self._told(repository, item, tag, Answer.DONE)
        if answer.status_code == 403:
            return self._told(repository, item, tag, Answer.REFUSED)
        if answer.status_code >= 500:
            if answer.status_code == 500:
                self._counts.violations.append(f"a crash, where an answer was due: {self._world.log[-3000:]}")
            return self._told(repository, item, tag, Answer.LOST)
        if answer.status_code == 400 and "was not pushed" in answer.text:
            if all((repository, blob) in self._model.blobs for blob in item.blobs):
                self._counts.violations.append(f"3: acknowledged blobs are lost: {answer.text}")
            return self._told(repository, item, tag, Answer.REFUSED)
        self._counts.violations.append(f"an odd answer: {answer.status_code} {answer.text}")
        return self._told(repository, item, tag, Answer.LOST)

    def delete(self, repository: str, digest: Digest) -> Told:
        try:
            with self._world.client("keeper") as client:
                status = client.delete(f"/v2/{repository}/manifests/{digest}").status_code
        except httpx.HTTPError:
            status = 503
        if status not in {202, 404, 503}:
            self._counts.violations.append(f"an odd answer to a deletion: {status}")
        answer = {202: Answer.DONE, 404: Answer.ABSENT}.get(status, Answer.LOST)
        self._counts.answers[f"delete {answer}"] += 1
        return Told(repository, digest, answer)

    def _told(self, repository: str, item: Item, tag: str | None, answer: Answer) -> Told:
        self._counts.answers[f"{item.nature} {answer}"] += 1
        return Told(repository, item.digest, answer, item, tag)


def _push_blob(client: httpx.Client, repository: str, digest: Digest, data: bytes, *, whole: bool) -> bool:
    start = f"/v2/{repository}/blobs/uploads/"
    if whole:
        return client.post(start, params={"digest": digest}, content=data).status_code == 201
    begun = client.post(start)
    if begun.status_code != 202:
        return False
    location = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
    return client.put(location, content=data).status_code == 201
