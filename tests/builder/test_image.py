from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.cache import Cache, Recipe, StoredLayer
from builder.errors import BuilderError
from builder.image import BuiltImage, ImageSettings, app_layer, build_image, runtime_config
from builder.layers.app import AppInput
from builder.layers.tar import of_bytes, write_layer
from builder.layers.wheel import WheelInput
from builder.progress import Quiet
from compliance.inventory import Origin
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import History, ImageConfig, RootFs, RuntimeConfig

if TYPE_CHECKING:
    from tests.builder.conftest import MakeWheel


@dataclass(frozen=True)
class Base:
    layers: tuple[StoredLayer, ...]
    config: ImageConfig


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def base(cache: Cache) -> Base:
    stored = cache.make_layer(
        Recipe("debian", ("test",)), lambda blob: write_layer([of_bytes("etc/os-release", b"ID=debian\n")], blob)
    )
    config = ImageConfig(
        created="2026-01-01T00:00:00Z",
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(
            user="65532:65532", env=("PATH=/opt/venv/bin:/usr/bin", "LANG=C.UTF-8"), cmd=("python",)
        ),
        rootfs=RootFs(diff_ids=(stored.diff_id,)),
        history=(History(created_by="base"),),
    )
    return Base((stored,), config)


@pytest.fixture
def project(tmp_path: Path) -> AppInput:
    root = tmp_path / "project"
    root.mkdir()
    (root / "app.py").write_text("print('hello')\n")
    return AppInput(root)


class Steps(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, text: str) -> None:
        self.said.append(text)


def built(
    base: Base,
    wheels: Sequence[WheelInput],
    project: AppInput | None,
    cache: Cache,
    settings: ImageSettings | None = None,
    progress: Quiet | None = None,
) -> tuple[BuiltImage, Layout]:
    layout = Layout.create(cache.root.parent / "layout")
    settings = settings or ImageSettings("serving/iris")
    return build_image(base, wheels, project, settings, cache, layout, progress or Quiet()), layout


def names(layout: Layout, digest: Digest) -> list[str]:
    with tarfile.open(layout.path(digest), mode="r:gz") as archive:
        return archive.getnames()


def test_image_stands_whole_in_the_layout(
    base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache
) -> None:
    image, layout = built(base, [make_wheel(direct=True)], project, cache)
    manifest, config = layout.image(image.digest)
    assert manifest == image.manifest
    assert config == image.config
    assert Digest.of(layout.path(manifest.config.digest).read_bytes()) == image.config_digest
    for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        blob = layout.path(layer.digest).read_bytes()
        assert (Digest.of(blob), len(blob)) == (layer.digest, layer.size)
        with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
            assert archive.fileobj is not None
            archive.fileobj.seek(0)
            assert Digest.of(archive.fileobj.read()) == diff_id
    (root,) = layout.index().manifests
    assert root == image.descriptor
    assert root.annotations == {"org.opencontainers.image.ref.name": "serving/iris"}
    assert root.platform is not None
    assert (root.platform.os, root.platform.architecture) == ("linux", "amd64")


def test_layers_say_what_is_in_them(base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache) -> None:
    image, layout = built(base, [make_wheel(name="My_Demo"), make_wheel(name="other")], project, cache)
    assert [layer.origin for layer in image.layers] == [Origin.DEPENDENCY, Origin.DEPENDENCY, Origin.APP]
    assert image.layer_of.keys() == {"my-demo", "other"}
    for layer in image.layers:
        for name, version in layer.packages:
            assert image.layer_of[name] == layer.diff_id
            project_name = {"my-demo": "My_Demo"}.get(name, name)
            info = f"opt/venv/lib/python3.11/site-packages/{project_name}-{version}.dist-info"
            assert info in names(layout, layer.descriptor.digest)
    assert names(layout, image.layers[-1].descriptor.digest) == ["app", "app/app.py"]


def test_history_names_each_layer(base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache) -> None:
    image, _ = built(base, [make_wheel()], project, cache)
    assert image.config.history is not None
    assert [line.created_by for line in image.config.history] == [
        "base",
        "mlbuild demo==1.0",
        "mlbuild project files",
    ]
    assert len(image.config.history) == len(image.config.rootfs.diff_ids)


def test_project_without_files_has_no_layer(base: Base, tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "empty").mkdir()
    empty = AppInput(tmp_path / "empty")
    assert app_layer(empty, cache, Quiet()) is None
    assert built(base, [], empty, cache)[0].layers == ()
    assert built(base, [], None, cache)[0].manifest.layers == (base.layers[0].descriptor,)


def test_second_build_makes_nothing(base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache) -> None:
    wheels = [make_wheel(name=name) for name in ("a", "b", "c")]
    first, _ = built(base, wheels, project, cache)
    for wheel in wheels:
        data = wheel.path.read_bytes()
        wheel.path.write_bytes(bytes(len(data)))  # of the same size, so that only reading it would tell
    steps = Steps()
    second, _ = built(base, wheels, project, cache, progress=steps)
    assert second == first
    assert steps.said == []


def test_changed_project_changes_its_layer_only(
    base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache
) -> None:
    wheels = [make_wheel()]
    first, _ = built(base, wheels, project, cache)
    (project.root / "app.py").write_text("print('changed')\n")
    second, _ = built(base, wheels, project, cache)
    assert second.digest != first.digest
    assert second.layers[:-1] == first.layers[:-1]
    assert second.layers[-1] != first.layers[-1]


def test_direct_dependency_is_marked_and_so_another_layer(base: Base, make_wheel: MakeWheel, cache: Cache) -> None:
    indirect, _ = built(base, [make_wheel()], None, cache)
    direct, _ = built(base, [make_wheel(direct=True)], None, cache)
    assert direct.digest != indirect.digest


def test_order_of_wheels_does_not_matter(base: Base, make_wheel: MakeWheel, cache: Cache) -> None:
    wheels = [make_wheel(name=name) for name in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")]
    assert built(base, wheels, None, cache)[0] == built(base, wheels[::-1], None, cache)[0]


def test_altered_blob_is_replaced_in_cache_and_layout(
    base: Base, make_wheel: MakeWheel, project: AppInput, cache: Cache
) -> None:
    first, layout = built(base, [make_wheel()], project, cache)
    blob = layout.path(first.layers[0].descriptor.digest)
    blob.write_bytes(b"altered")
    built(base, [make_wheel()], project, cache)
    assert Digest.of(blob.read_bytes()) == first.layers[0].descriptor.digest


def test_layout_on_another_file_system_gets_copies(base: Base, cache: Cache, make_wheel: MakeWheel) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == cache.root.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    target = shared_memory / f"mlbuild-test-{os.getpid()}"
    try:
        settings = ImageSettings("x")
        for _ in range(2):
            image = build_image(base, [make_wheel()], None, settings, cache, Layout.create(target), Quiet())
        for layer in image.manifest.layers:
            assert Digest.of(Layout(target).path(layer.digest).read_bytes()) == layer.digest
    finally:
        subprocess.run(["rm", "-rf", target], check=True)


def test_bad_wheel_stops_the_build_and_leaves_no_layer(base: Base, make_wheel: MakeWheel, cache: Cache) -> None:
    good, bad = make_wheel(name="a"), make_wheel(name="b")
    bad.path.write_bytes(b"not a zip")
    with pytest.raises(BuilderError, match=r"b 1\.0: the wheel is no zip file"):
        built(base, [good, bad], None, cache)
    assert list((cache.root / "new").iterdir()) == []
    assert Layout(cache.root.parent / "layout").index().manifests == ()


def test_base_whose_config_names_other_layers_is_refused(base: Base, cache: Cache) -> None:
    wrong = base.config.model_copy(update={"rootfs": RootFs(diff_ids=(Digest.of(b"other"),))})
    with pytest.raises(BuilderError, match="config and layers disagree"):
        built(Base(base.layers, wrong), [], None, cache)


def settings(**changes: Any) -> ImageSettings:
    return ImageSettings("x", **changes)


BASE = RuntimeConfig(
    user="nonroot",
    env=("PATH=/usr/bin", "LANG=C"),
    entrypoint=("/entry",),
    cmd=("default",),
    exposed_ports={"80/tcp": {}},
    labels={"owner": "platform", "kept": "yes"},
    working_dir="/",
)


def test_settings_left_out_are_the_bases() -> None:
    config = runtime_config(BASE, settings())
    assert config == BASE.model_copy(update={"working_dir": "/app"})


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"user": "1000"}, "user", "1000"),
        ({"user": ""}, "user", ""),
        ({"env": (("Z", "1"), ("LANG", "x=y"), ("A", ""))}, "env", ("PATH=/usr/bin", "LANG=x=y", "A=", "Z=1")),
        ({"entrypoint": ("/mine",)}, "entrypoint", ("/mine",)),
        ({"entrypoint": ("/mine",)}, "cmd", None),
        ({"command": ("run",)}, "cmd", ("run",)),
        ({"command": ("run",)}, "entrypoint", ("/entry",)),
        ({"ports": ("8080/tcp", "443/tcp")}, "exposed_ports", {"443/tcp": {}, "80/tcp": {}, "8080/tcp": {}}),
        ({"labels": (("owner", "me"),)}, "labels", {"kept": "yes", "owner": "me"}),
        ({"working_dir": "/srv"}, "working_dir", "/srv"),
    ],
)
def test_settings_lie_over_the_bases(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(runtime_config(BASE, settings(**changes)), field) == expected


def test_lock_digest_is_a_label() -> None:
    lock = Digest.of(b"lock")
    assert (runtime_config(BASE, settings(lock=lock)).labels or {})["io.mlbuild.lock"] == lock


def test_created_comes_from_the_settings_or_the_base(base: Base, cache: Cache) -> None:
    assert built(base, [], None, cache)[0].config.created == "2026-01-01T00:00:00Z"
    given = settings(created="2026-05-05T05:05:05Z")
    assert built(base, [], None, cache, given)[0].config.created == "2026-05-05T05:05:05Z"


PROGRAM = """
import json, os, sys
from pathlib import Path
os.umask(int(os.environ["TEST_UMASK"], 8))
from builder.cache import Cache
from builder.image import ImageSettings, build_image
from builder.layers.app import AppInput
from builder.layers.tar import Compression
from builder.layers.wheel import WheelInput
from builder.progress import Quiet
from compliance.oci.layout import Layout
from compliance.oci.manifest import ImageConfig, RootFs

class Base:
    layers = ()
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=()))

root, wheels = Path(sys.argv[1]), json.loads(sys.argv[2])
project = root / "project"
for path in json.loads(sys.argv[3]):
    target = project / os.fsdecode(path.encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.encode())
    (target.parent / os.fsdecode("l\\u00eenk".encode())).symlink_to(target.name)
image = build_image(
    Base(),
    [WheelInput(Path(wheel[0]), *wheel[1:]) for wheel in wheels],
    AppInput(project),
    ImageSettings("x", env=(("A", "1"),), labels=(("b", "2"), ("a", "1"))),
    Cache(root / "cache"),
    Layout.create(root / "layout"),
    Quiet(),
    compression=Compression(sys.argv[4]),
)
print(image.digest)
"""

SURROUNDINGS: tuple[dict[str, str], ...] = (
    {"TEST_UMASK": "022", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"},
    {"TEST_UMASK": "077", "TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "1", "HOME": "/nonexistent"},
    {
        "TEST_UMASK": "000",
        "TZ": "America/St_Johns",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "4242",
        "PYTHONUTF8": "0",
    },
    {
        "TEST_UMASK": "027",
        "SOURCE_DATE_EPOCH": "1",
        "USER": "somebody",
        "PYTHONOPTIMIZE": "2",
        "TMPDIR": "/var/tmp",
    },
)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_surroundings_do_not_change_the_digest(make_wheel: MakeWheel, tmp_path: Path, compression: str) -> None:
    wheels = []
    for name in ("alpha", "beta", "gamma"):
        wheel = make_wheel(
            {f"{name}/__init__.py": b"", "nvidia/__init__.py": name.encode(), f"{name}/é.txt": b"x" * 3_000_000},
            name=name,
            entry_points=f"[console_scripts]\n{name} = {name}:main\n",
            direct=name == "beta",
        )
        wheels.append([str(wheel.path), name, "1.0", wheel.sha256, wheel.direct])
    digests = set()
    for number, surroundings in enumerate(SURROUNDINGS):
        root = tmp_path / f"place-{number}" / ("deep/" * number)
        root.mkdir(parents=True)
        paths = ["app.py", "pkg/ü.py", "other/b.py", "a/b/c"]
        processors = sorted(os.sched_getaffinity(0))[: 1 + number % 2]
        arguments = [
            str(root),
            json.dumps(wheels[number % 3 :] + wheels[: number % 3]),
            json.dumps(paths if number % 2 else paths[::-1]),
            compression,
        ]
        run = subprocess.run(
            ["taskset", "-c", ",".join(map(str, processors)), sys.executable, "-c", PROGRAM, *arguments],
            env={"PATH": os.environ["PATH"], **surroundings},
            cwd=root,
            stdout=subprocess.PIPE,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1
