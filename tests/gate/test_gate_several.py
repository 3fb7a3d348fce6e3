"""Two gates on one PostgreSQL and one registry."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import httpx
import pytest

from compliance.errors import ComplianceError
from compliance.oci.digest import Digest
from compliance.oci.registry import Credentials, RegistryClient, RegistryError
from compliance.retries import Retries
from gate.audit.verification import verify
from gate.database import Database
from gate.identity.permissions import Role
from gate.identity.tokens import SERVICE
from gate.identity.users import set_user
from gate.readable import SECONDS
from gate.store import Store
from tests.gate.conftest import NOT_ROOT, PASSWORD, Image, MakeImage, RunningGate, prepare
from tests.gate.postgres_process import Postgres
from tests.gate.registry_process import Registry, eventually

pytestmark = pytest.mark.acceptance

CLIENTS = 4
PUSHES = 4
"""By each client; every fourth is of an image that is to be refused."""


@dataclass
class Pair:
    """Two gates, what they share, and what is in their database."""

    one: RunningGate
    other: RunningGate
    store: Store
    database: Database


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("pair")
    registry = Registry(root / "registry")
    registry.start()
    url = postgres.new_database()
    environment = {"MLGATE_DATABASE": url.render_as_string(hide_password=False)}
    gates = [
        prepare(root / name, {"any.yaml": NOT_ROOT}, ("--upstream", registry.url), environment)
        for name in ("one", "other")
    ]
    try:
        for gate in gates:
            set_user(gate.root / "users.yaml", "ops", Role.ADMIN, PASSWORD, rounds=4)
        with ThreadPoolExecutor(len(gates)) as threads:
            list(threads.map(RunningGate.start, gates))
        with closing(Store(url)) as store, closing(Database(url)) as database:
            yield Pair(*gates, store, database)
    finally:
        for gate in gates:
            gate.end()
        registry.stop()


@dataclass
class Client:
    """Pushes to one gate after the other, and to the other when one fails, until it is told what became of it.

    The last push begins when a gate was killed.
    """

    gates: tuple[RunningGate, ...]
    pushes: list[tuple[str, Image]]
    killed: threading.Event
    admitted: dict[str, Digest] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    retried: int = 0
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            turns = itertools.cycle(self.gates)
            for repository, image in self.pushes:
                if (repository, image) == self.pushes[-1]:
                    self.killed.wait(120)
                self._push(repository, image, turns)
        except BaseException as error:
            self.failure = error

    def _push(self, repository: str, image: Image, turns: Iterator[RunningGate]) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with RegistryClient(
                    next(turns).host, credentials=Credentials("ci", PASSWORD), retries=Retries(tries=1)
                ) as client:
                    self.admitted[repository] = image.push(client, repository, "v1")
                return
            except RegistryError as error:
                if error.status == 403:
                    self.refused.append(repository)
                    return
                self.retried += 1
            except ComplianceError:
                self.retried += 1
        raise TimeoutError(repository)


def test_one_of_two_gates_is_killed_under_load_and_nothing_is_lost(pair: Pair, make_image: MakeImage) -> None:
    killed = threading.Event()
    clients = [
        Client(
            (pair.one, pair.other) if number % 2 else (pair.other, pair.one),
            [
                (f"load/{number}-{push}", make_image(user="0" if push % 4 == 3 else "65532:65532"))
                for push in range(PUSHES)
            ],
            killed,
        )
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    wanted = CLIENTS * PUSHES
    eventually(lambda: _answered(clients) >= wanted // 3)
    pair.one.end(signal.SIGKILL)
    killed.set()
    before = _counts(pair, clients)
    for thread in threads:
        thread.join()
    assert [client.failure for client in clients if client.failure] == []
    after = _counts(pair, clients)
    print(f"\nwhen one gate was killed: {before}\nwhen all were answered:   {after}")

    admitted = {name: digest for client in clients for name, digest in client.admitted.items()}
    refused = [name for client in clients for name in client.refused]
    assert len(admitted) == wanted * 3 // 4
    assert len(refused) == wanted // 4
    assert sum(client.retried for client in clients) > 0
    pair.one.start()
    for gate in (pair.one, pair.other):
        with gate.client("pod") as reader:
            for name, digest in admitted.items():
                assert reader.get_manifest(name, "v1").digest == digest
            for name in refused:
                assert not reader.has_manifest(name, "v1")
    report = verify(pair.database)
    assert report.problems == ()
    print(f"audit log: {report.head.sequence} entries, nothing was changed")


def _answered(clients: list[Client]) -> int:
    return sum(len(client.admitted) + len(client.refused) for client in clients)


def _counts(pair: Pair, clients: list[Client]) -> str:
    readable = sum(pair.store.manifest(name, "v1") is not None for client in clients for name, _ in client.pushes)
    return (
        f"{sum(len(client.admitted) for client in clients)} pushes were admitted to their clients,"
        f" {sum(len(client.refused) for client in clients)} refused,"
        f" {sum(client.retried for client in clients)} tried again; {readable} images can be pulled"
    )


def test_what_one_gate_deletes_is_gone_at_the_other_within_a_second(pair: Pair, make_image: MakeImage) -> None:
    image = make_image()
    with pair.one.client("ops") as one, pair.other.client() as other:
        image.push(one, "team/deleted", "v1")
        assert other.get_manifest("team/deleted", "v1").digest == image.digest
        assert one.delete_manifest("team/deleted", image.digest)
        assert not one.has_manifest("team/deleted", "v1")
        time.sleep(SECONDS + 0.05)
        for target in ("v1", image.digest):
            assert not other.has_manifest("team/deleted", target)


def test_an_upload_begun_at_one_gate_is_ended_at_the_other(pair: Pair) -> None:
    auth = ("ci", PASSWORD)
    digest = Digest.of(b"onetwo")
    with httpx.Client(auth=auth, timeout=60) as client:
        begun = client.post(f"http://{pair.one.host}/v2/team/moved/blobs/uploads/")
        first = client.patch(f"http://{pair.one.host}{begun.headers['Location']}", content=b"one")
        assert first.status_code == 202
        at_other = f"http://{pair.other.host}"
        ended = client.put(f"{at_other}{first.headers['Location']}&digest={digest}", content=b"two")
        assert ended.status_code == 201, ended.text
        assert client.get(f"{at_other}/v2/team/moved/blobs/{digest}").content == b"onetwo"
        # The Location from before the first chunk leads the other gate to a place that the upload has left.
        begun = client.post(f"http://{pair.one.host}/v2/team/moved/blobs/uploads/")
        client.patch(f"http://{pair.one.host}{begun.headers['Location']}", content=b"one")
        stale = client.put(f"{at_other}{begun.headers['Location']}&digest={digest}", content=b"two")
        assert 400 <= stale.status_code < 500, stale.text


def test_a_token_of_one_gate_is_good_at_the_other(pair: Pair) -> None:
    wanted = {"service": SERVICE, "scope": "repository:team/token:pull"}
    given = httpx.get(f"http://{pair.one.host}/token", params=wanted, auth=("pod", PASSWORD), timeout=60)
    headers = {"Authorization": f"Bearer {given.json()['token']}"}
    assert (
        httpx.get(f"http://{pair.other.host}/v2/team/token/manifests/v1", headers=headers, timeout=60).status_code
        == 404
    )


def test_one_tag_pushed_at_both_gates_at_once_is_the_same_everywhere(pair: Pair, make_image: MakeImage) -> None:
    images = [make_image() for _ in range(6)]
    with pair.one.client() as one:
        for image in images:
            image.push_blobs(one, "team/race")

    def push(number: int) -> None:
        with (pair.one, pair.other)[number % 2].client() as client:
            image = images[number]
            client.put_manifest("team/race", "v1", image.raw, image.descriptor.media_type)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(SECONDS + 0.05)
    with pair.one.client() as one, pair.other.client() as other:
        served = {client.get_manifest("team/race", "v1").digest for client in (one, other)}
        assert len(served) == 1
        for image in images:
            assert one.has_manifest("team/race", image.digest)
    assert verify(pair.database).problems == ()
