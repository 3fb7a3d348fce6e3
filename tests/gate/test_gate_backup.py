from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from compliance.errors import InvalidInput
from compliance.oci.registry import RegistryError
from gate.cli import main
from gate.identity.access import read_access
from gate.notify.notify_file import read_notify
from gate.store import Store
from tests.gate.conftest import NOT_ROOT, MakeImage, RunningGate, prepare
from tests.gate.postgres_process import Postgres
from tests.gate.registry_process import Registry

CHAT = "https://chat.example.com/hooks/only-we-know"


def mlgate(*arguments: str, data: Path, database: Path | URL | None = None) -> Result:
    environment = {"MLGATE_DATA": str(data)}
    if isinstance(database, URL):
        environment["MLGATE_DATABASE"] = database.render_as_string(hide_password=False)
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    with closing(Store(data / "gate.db")) as store:
        store.secret("uploads")
    (data / "access.yaml").write_text("anonymous: [public/**]\n")
    (data / "chat.url").write_text(f"{CHAT}\n")
    (data / "notify.yaml").write_text("sinks: [{name: chat, url-file: chat.url, format: markdown-chat}]\n")
    return data


def test_a_backup_comes_back_and_is_for_its_owner_alone(data, tmp_path):
    target = tmp_path / "backups" / "today"
    done = mlgate("backup", str(target), data=data)
    assert done.exit_code == 0, done.output
    assert f"{target}: access.yaml, gate.db, notify.yaml\n" in done.output
    assert f"{data / 'registry' / 'storage'}" in done.output
    assert (target.stat().st_mode & 0o777, (target / "gate.db").stat().st_mode & 0o777) == (0o700, 0o600)
    assert mlgate("restore", str(target), data=tmp_path / "new").exit_code == 0
    with closing(Store(data / "gate.db")) as before, closing(Store(tmp_path / "new" / "gate.db")) as after:
        assert before.secret("uploads") == after.secret("uploads")
    assert read_access(tmp_path / "new" / "access.yaml").anonymous == ("public/**",)


def test_who_is_told_of_what_comes_back_and_the_secrets_that_it_names_are_kept_elsewhere(data, tmp_path):
    target, new = tmp_path / "today", tmp_path / "new"
    (data / "notify.yaml").rename(tmp_path / "elsewhere.yaml")
    environment = {"MLGATE_DATA": str(data), "MLGATE_NOTIFY": str(tmp_path / "elsewhere.yaml")}
    assert CliRunner().invoke(main, ["backup", str(target)], env=environment).exit_code == 0
    assert not [path for path in target.iterdir() if CHAT.encode() in path.read_bytes()]
    assert mlgate("restore", str(target), data=new).exit_code == 0
    assert (new / "notify.yaml").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match=r"notify\.yaml:1: sink chat: "):
        read_notify(new / "notify.yaml")
    (data / "chat.url").rename(new / "chat.url")
    assert [sink.name for sink in read_notify(new / "notify.yaml").sinks] == ["chat"]


def test_neither_backup_nor_restore_replaces_anything(data, tmp_path):
    target = tmp_path / "today"
    assert mlgate("backup", str(target), data=data).exit_code == 0
    again = mlgate("backup", str(target), data=data)
    assert (again.exit_code, "exists, and a backup replaces nothing" in again.output) == (2, True)
    over = mlgate("restore", str(target), data=data)
    assert (over.exit_code, "exists, and a restore replaces nothing" in over.output) == (2, True)


def test_a_backup_that_fails_leaves_nothing(data, tmp_path):
    with (data / "gate.db").open("r+b") as file:
        file.write(b"this is no database")
    done = mlgate("backup", str(tmp_path / "backups" / "today"), data=data)
    assert (done.exit_code, "cannot be copied" in done.output) == (3, True)
    assert list((tmp_path / "backups").iterdir()) == []


def test_what_is_no_backup_is_not_restored(data, tmp_path):
    done = mlgate("restore", str(tmp_path), data=tmp_path / "new")
    assert (done.exit_code, "has no gate.db" in done.output) == (2, True)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> Callable[[], URL | None]:
    """Gives the URL of an empty database; None is the file in the data directory."""
    if request.param == "sqlite":
        return lambda: None
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    running = Registry(tmp_path / "registry")
    running.start()
    yield running
    running.stop()


@pytest.mark.acceptance
def test_a_gate_that_was_restored_goes_on(
    new_database: Callable[[], URL | None], registry: Registry, make_image: MakeImage, tmp_path: Path
) -> None:
    def gate_on(root: Path, database: URL | None) -> RunningGate:
        environment = {"MLGATE_DATABASE": database.render_as_string(hide_password=False)} if database else {}
        return prepare(root, {"any.yaml": NOT_ROOT}, ("--upstream", registry.url), environment)

    before, after = new_database(), new_database()
    image, refused, later = make_image(), make_image(user="0"), make_image()
    running = gate_on(tmp_path / "before", before).start()
    try:
        with running.client() as client:
            image.push(client, "team/kept", "v1")
            with pytest.raises(RegistryError):
                refused.push(client, "team/kept", "v2")
            backup = str(tmp_path / "backup")
            done = mlgate("backup", backup, data=running.data, database=before)
            assert done.exit_code == 0, done.output
            later.push(client, "team/lost", "v1")
    finally:
        running.end()
    kept_elsewhere = tmp_path / "checkpoint.jsonl"
    kept_elsewhere.write_text(mlgate("audit", "checkpoint", data=running.data, database=before).output)

    restored = gate_on(tmp_path / "after", after)
    done = mlgate("restore", backup, data=restored.data, database=after)
    assert done.exit_code == 0, done.output
    restored.start()
    try:
        with restored.client() as client:
            assert client.get_manifest("team/kept", "v1").digest == image.digest
            with client.open_blob("team/kept", image.manifest.layers[0].digest) as chunks:
                assert sum(len(chunk) for chunk in chunks) == image.manifest.layers[0].size
            with pytest.raises(RegistryError, match="not-root"):
                client.get_manifest("team/kept", refused.digest)
            assert not client.has_manifest("team/lost", "v1")
            later.push(client, "team/lost", "v1")
    finally:
        restored.end()
    assert "nothing was changed" in mlgate("audit", "verify", data=restored.data, database=after).output
    lost = mlgate("audit", "verify", "--checkpoints", str(kept_elsewhere), data=restored.data, database=after)
    assert (lost.exit_code, "CHANGED: entry" in lost.output) == (1, True)
