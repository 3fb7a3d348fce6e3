"""A model as a layer, and what is known of it."""

import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.fetch import FetchError
from builder.image import ImageLayer
from builder.lockfile import LockedModel
from builder.models.asked import Model, patterns_of_models
from builder.models.layer import model_layers
from builder.models.lock import lock_models
from builder.models.reading import read_models
from builder.progress import Quiet
from compliance.base_files import User
from compliance.errors import InvalidInput
from compliance.evidence import Absent
from compliance.inventory import ModelFile, Origin
from compliance.oci.digest import Digest

USER = User(name="nonroot", uid=65532, gid=65532, home="/home/nonroot")
GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)
PICKLE = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a server of `tmp_path/web`."""
    root = tmp_path / "web"
    root.mkdir()
    (root / "model.gguf").write_bytes(GGUF)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "model").mkdir(parents=True)
    (directory / "model" / "net.gguf").write_bytes(GGUF)
    return directory


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def locked(to: str = "/models/net.gguf", path: str = "model/net.gguf", data: bytes = GGUF) -> LockedModel:
    return LockedModel(path, None, to, sha256(data), len(data))


def layer_of(model: LockedModel, root: Path, cache: Cache) -> ImageLayer:
    (layer,) = model_layers([model], root, USER, cache, Quiet())
    return layer


def members(layer: ImageLayer) -> list[tuple[str, int, int]]:
    with tarfile.open(layer.path) as archive:
        return [(member.name, member.mode, member.uid) for member in archive]


def test_a_layer_holds_the_file_and_nothing_else(root: Path, cache: Cache) -> None:
    layer = layer_of(locked(), root, cache)
    assert members(layer) == [("models", 0o755, 0), ("models/net.gguf", 0o644, 0)]
    assert (layer.origin, layer.model, layer.contents) == (
        Origin.APP,
        "/models/net.gguf",
        "model /models/net.gguf",
    )


def test_the_same_content_is_the_same_layer_whatever_its_source(root: Path, cache: Cache, web: str) -> None:
    from_path = layer_of(locked(), root, cache)
    other = LockedModel(None, f"{web}/model.gguf", "/models/net.gguf", sha256(GGUF), None)
    assert layer_of(other, root, Cache(root.parent / "elsewhere")).diff_id == from_path.diff_id


def test_folders_at_home_are_the_users(root: Path, cache: Cache) -> None:
    layer = layer_of(locked("/home/nonroot/.cache/net.gguf"), root, cache)
    assert members(layer) == [
        ("home", 0o755, 0),
        ("home/nonroot", 0o700, 65532),
        ("home/nonroot/.cache", 0o755, 65532),
        ("home/nonroot/.cache/net.gguf", 0o644, 0),
    ]


def test_a_model_from_an_address_is_downloaded_once(root: Path, cache: Cache, web: str, tmp_path: Path) -> None:
    model = LockedModel(None, f"{web}/model.gguf", "/models/net.gguf", sha256(GGUF), None)
    first = layer_of(model, root, cache)
    (tmp_path / "web" / "model.gguf").unlink()
    assert layer_of(model, root, cache) == first


def test_an_address_that_gives_something_else_is_refused(root: Path, cache: Cache, web: str) -> None:
    model = LockedModel(None, f"{web}/model.gguf", "/models/net.gguf", "0" * 64, None)
    with pytest.raises(
        FetchError, match=f"model net.gguf has sha256 {sha256(GGUF)}, the lock says 0000"
    ) as failure:
        layer_of(model, root, cache)
    assert "write its new sha256 in the spec" in (failure.value.remedy or "")


def test_a_file_that_changed_since_it_was_locked_is_refused(root: Path, cache: Cache) -> None:
    (root / "model" / "net.gguf").write_bytes(PICKLE)
    for use in (layer_of, lambda *given: read_models([given[0]], *given[1:])):
        with pytest.raises(InvalidInput, match=r"net\.gguf: has sha256 \w+, the lock says") as failure:
            use(locked(), root, cache)
        assert "Run `mlbuild lock`" in (failure.value.remedy or "")


def test_a_file_that_is_gone_is_refused(root: Path, cache: Cache) -> None:
    (root / "model" / "net.gguf").unlink()
    with pytest.raises(InvalidInput, match="there is no such file"):
        layer_of(locked(), root, cache)


def test_formats_are_told_to_policies_and_unknown_ones_to_the_sbom_only(root: Path, cache: Cache) -> None:
    (root / "model" / "net.pkl").write_bytes(PICKLE)
    (root / "model" / "vocab.txt").write_text("a b c")
    models = [
        locked(),
        locked("/app/net.pkl", "model/net.pkl", PICKLE),
        locked("/models/vocab.txt", "model/vocab.txt", b"a b c"),
    ]
    layers = {model.to: Digest.of(model.to.encode()) for model in models}
    read = read_models(models, root, cache, layers)
    assert [(file.path, file.format, file.unsafe is not None) for file in read.files] == [
        ("/app/net.pkl", "pickle", True),
        ("/models/net.gguf", "gguf", False),
        ("/models/vocab.txt", "unknown", False),
    ]
    assert {file.path: file.layer for file in read.files} == layers
    own = ModelFile("/app/a.onnx", "onnx", Origin.APP, "0" * 64, 1)
    seen = read.with_those_of([own])
    assert not isinstance(seen, Absent)
    assert [file.path for file in seen] == ["/app/a.onnx", "/app/net.pkl", "/models/net.gguf"]


def test_what_is_not_downloaded_yet_is_pending(root: Path, cache: Cache) -> None:
    url = "https://example.invalid/net.gguf"
    read = read_models([LockedModel(None, url, "/models/net.gguf", "0" * 64, None)], root, cache)
    assert read.with_those_of([]) == Absent(f"{url} will be read once downloaded", pending=True)


def test_what_a_download_was_is_known_when_only_its_layer_is_kept(root: Path, cache: Cache, web: str) -> None:
    model = LockedModel(None, f"{web}/model.gguf", "/models/net.gguf", Digest.of(GGUF).hex, None)
    layer_of(model, root, cache)
    read = read_models([model], root, cache)
    cache.path(Digest.of(GGUF)).unlink()
    assert read_models([model], root, cache) == read
    assert read.files[0].format == "gguf"
    assert not read.missing


@pytest.fixture
def spec(root: Path) -> Path:
    path = root / "mlbuild.yaml"
    path.write_text("models:\n  - path: model/net.gguf\n    sha256: " + "a" * 64 + "\n")
    return path


def test_locking_finds_the_hash_of_a_path(spec: Path, cache: Cache) -> None:
    assert lock_models([Model(path="model/net.gguf")], spec, (), cache, Quiet()) == (locked(),)


def test_locking_downloads_nothing(spec: Path, cache: Cache) -> None:
    model = Model(url="https://example.invalid/a/net%20work.gguf?download=true", sha256="0" * 64)
    assert lock_models([model], spec, (), cache, Quiet()) == (
        LockedModel(None, model.url, "/models/net work.gguf", "0" * 64, None),
    )


def test_a_file_that_is_not_the_one_the_spec_pins_is_refused(spec: Path, cache: Cache) -> None:
    with pytest.raises(InvalidInput) as failure:
        lock_models([Model(path="model/net.gguf", sha256="a" * 64)], spec, (), cache, Quiet())
    assert failure.value.message == f"{spec}:3: model/net.gguf has sha256 {sha256(GGUF)}, the spec says {'a' * 64}"


def test_a_file_that_is_not_there_is_refused(spec: Path, cache: Cache) -> None:
    with pytest.raises(InvalidInput, match=r"mlbuild\.yaml:2: there is no file model/none"):
        lock_models([Model(path="model/none")], spec, (), cache, Quiet())


def test_a_model_that_changed_is_said_when_it_is_locked_again(spec: Path, cache: Cache) -> None:
    said: list[str] = []

    class Heard(Quiet):
        def step(self, text: str) -> None:
            said.append(text)

    before = locked(data=b"older")
    lock_models([Model(path="model/net.gguf")], spec, [before], cache, Heard())
    assert said == [f"model/net.gguf has changed: sha256 {sha256(GGUF)} is locked from now on"]


def test_models_are_not_among_the_projects_own_files() -> None:
    models = (Model(path="model/net[1].gguf"), Model(path="a.onnx", to="/app/model/b.onnx"))
    assert list(patterns_of_models(models)) == ["model/net[[]1].gguf", "a.onnx", "model/b.onnx"]
